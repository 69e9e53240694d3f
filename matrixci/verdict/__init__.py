"""Results in; the judged run with its verdict out. Pure, but for load.py."""
