"""What the commands have in common: options, and the folder of checks."""

from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

import typer

from matrixci.errors import UsageError
from matrixci.images.build_cache import BuildCache, parse_build_cache
from matrixci.images.registry import repository_of
from matrixci.model import BaseOrigin
from matrixci.sandbox.check_filter import CHECK_FILES
from matrixci.util.digests import source_files
from matrixci.util.resources import data_folder

WORK_DIR: Final = Path(".matrixci")
HISTORY: Final = "history.sqlite"
PLAN: Final = "plan/plan.json"

RUN_NAMES: Final = "id or its beginning, folder, latest~N, previous, last-green"
RUN_HELP: Final = f"The run: {RUN_NAMES}. Default: the latest."

AXES_TOO: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that takes options named after the matrix's axes."""
AXES_HELP: Final = (
    "Each axis of the matrix is an option as well: --python 3.12 --device cpu --numpy 1.x"
)

MatrixOption = Annotated[Path, typer.Option("--matrix", help="The matrix file.")]
SubjectOption = Annotated[
    str | None, typer.Option(help="Requirement, wheel, path or URL, instead of the matrix's.")
]
CellsOption = Annotated[
    list[str] | None, typer.Option("--cell", help="Cell id or glob; repeatable.")
]
CheckOption = Annotated[
    str | None, typer.Option(help="Only checks that match, as pytest's -k understands it.")
]
ChecksOption = Annotated[
    Path | None, typer.Option(help="Folder of checks, instead of the built-in ones.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Only releases published up to this day."),
]
BaseOption = Annotated[BaseOrigin | None, typer.Option(help="How base images must come to be.")]
InstallEngineOption = Annotated[
    bool, typer.Option("--install-engine", help="Install an engine where none answers.")
]
RequireLimitsOption = Annotated[
    bool,
    typer.Option("--require-limits", help="Refuse an engine that does not enforce every limit."),
]
WorkDirOption = Annotated[Path, typer.Option("--work-dir", help="Where runs and caches are kept.")]
PlanOption = Annotated[
    Path | None,
    typer.Option(help="The plan's file; <work-dir>/plan/plan.json.", show_default=False),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history", metavar="PATH", help="The history's file; <work-dir>/history.sqlite."
    ),
]
NoHistoryOption = Annotated[
    bool, typer.Option("--no-history", help="Do not add the run to the history.")
]
TierOption = Annotated[
    str | None, typer.Option("--tier", help="Only the cells of this tier of the matrix.")
]
RunOption = Annotated[str | None, typer.Option("--run", help=RUN_HELP, metavar="RUN")]
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


BUILTIN: Final = "builtin"
"""What stands in matrix.yaml for the checks that come with matrixci."""


def checks_folder(folder: Path | None) -> Path:
    """Return the folder of checks.

    Raises:
        UsageError: it holds none.
    """
    path = folder or data_folder("checks")
    if not path.is_dir():
        raise UsageError(_no_folder(path))
    try:
        files = source_files(path)
    except OSError as error:
        msg = f"The checks in {path} can't be read: {error.strerror} ({error.filename})"
        raise UsageError(msg) from error
    if not any(fnmatchcase(file.name, glob) for file in files for glob in CHECK_FILES):
        msg = f"There is no check in {path}: no file named {' or '.join(CHECK_FILES)}."
        raise UsageError(msg)
    return path


def _no_folder(path: Path) -> str:
    if not path.exists():
        return f"There is no folder of checks {path}."
    only = f"--checks {path.parent} --check '{path.name}*'"
    return f"{path} is a file; name a folder. To run this file alone: {only}"
