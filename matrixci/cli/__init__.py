"""The command line, with one module per command: options in, printed results and exit code out."""
