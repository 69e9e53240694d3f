"""Entry point of `python -m matrixci`."""

from matrixci.cli.main import main

main()
