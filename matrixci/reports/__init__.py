"""Input: a judged run. Output: terminal tables, pages and files for people and for programs."""
