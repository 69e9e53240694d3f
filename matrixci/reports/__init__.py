"""Reports of a judged run: siblings that read a Report and nothing else, one module a format."""
