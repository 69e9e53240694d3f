"""Input: a judged run. Output: one HTML file that contains its data."""
