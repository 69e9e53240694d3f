"""matrix.yaml: what it may hold (definition), how it is read (file), and its mistakes in words."""
