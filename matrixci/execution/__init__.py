"""Runs cells through all steps: settings and cells in, a run's folder and its verdict out.

Also resumes runs, and reproduces single cells.
"""
