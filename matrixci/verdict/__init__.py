"""In: the results of a run. Out: the judged run with its verdict.

Pure functions, except for load.py, which reads the files of a run.
"""
