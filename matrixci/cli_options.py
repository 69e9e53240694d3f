"""What the commands have in common: options, and the folder of checks."""

from pathlib import Path
from typing import Annotated, Final

import typer

from matrixci.build_cache import BuildCache, parse_build_cache
from matrixci.data import data_folder
from matrixci.errors import UsageError
from matrixci.registry import repository_of

HOME: Final = Path(".matrixci")
HISTORY: Final = "history.sqlite"

HomeOption = Annotated[Path, typer.Option("--home", help="Where runs and caches are kept.")]
HistoryOption = Annotated[
    Path | None,
    typer.Option("--history", metavar="PATH", help="The history's file; <home>/history.sqlite."),
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="Id or folder of a run; the latest.", metavar="RUN")
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="HOST/REPO",
        parser=repository_of,
        help="Pull images from there that another machine built, and push those built here.",
    ),
]
BuildCacheOption = Annotated[
    BuildCache | None,
    typer.Option(
        "--build-cache",
        metavar="SPEC",
        parser=parse_build_cache,
        help="Keep the cache of builds there as well, as buildx names it, such as type=gha.",
    ),
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
