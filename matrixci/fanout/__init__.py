"""A run on many machines: plan, one cell, merge."""
