"""The matrix: from matrix.yaml to cells.

Takes the file. Returns a validated matrix, its cells, and a selection of them.
"""
