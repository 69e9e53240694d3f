"""Makes `python -m matrixci` the command line."""

from matrixci.cli.main import main

main()
