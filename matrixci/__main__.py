"""Makes `python -m matrixci` the command line."""

from matrixci.cli import main

main()
