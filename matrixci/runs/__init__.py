"""The files of a run: written as it goes on, read back on any machine."""
