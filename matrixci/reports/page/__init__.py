"""The judged run in; one HTML file with its data out."""
