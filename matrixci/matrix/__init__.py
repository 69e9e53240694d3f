"""matrix.yaml in; a validated matrix and its cells out."""
