"""What the commands have in common: options, and the folder of checks."""

from pathlib import Path
from typing import Annotated, Final

import typer

from matrixci.data import data_folder
from matrixci.errors import UsageError

HOME: Final = Path(".matrixci")
HISTORY: Final = "history.sqlite"

HomeOption = Annotated[Path, typer.Option("--home", help="Where runs and caches are kept.")]
HistoryOption = Annotated[
    Path | None,
    typer.Option("--history", metavar="PATH", help="The history's file; <home>/history.sqlite."),
]
TierOption = Annotated[
    str | None, typer.Option("--tier", help="Only the cells of this tier of the matrix.")
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Id or folder of a run; the latest.", metavar="RUN")
]


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
