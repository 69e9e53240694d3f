"""What the commands have in common: options, where they print, and the folder of checks."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from matrixci.data import data_folder
from matrixci.errors import UsageError

HOME: Final = Path(".matrixci")
WIDTH: Final = 160
"""Of what is printed where there is no terminal, and of the picture."""

HomeOption = Annotated[Path, typer.Option("--home", help="Where runs and caches are kept.")]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Id or folder of a run; the latest.", metavar="RUN")
]


def console(*, stderr: bool = False) -> Console:
    """Return where a command prints; without a terminal it is a file or a log, of no width."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH)


def checks_folder(folder: Path | None) -> Path:
    """Return the folder of checks.

    Raises:
        UsageError: it holds none.
    """
    path = folder or data_folder("checks")
    if not any(path.rglob("test_*.py")):
        msg = f"There is no check in {path}: no file named test_*.py."
        raise UsageError(msg)
    return path
