"""The history: runs of the past in one SQLite file, and what they say of the present one."""
