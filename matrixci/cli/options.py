"""Options that several commands share, alone and in groups."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from matrixci.images.build_cache import BuildCache, parse_build_cache
from matrixci.images.registry import repository_of
from matrixci.model import BaseOrigin
from matrixci.reports.formats import FORMATS

WORK_DIR: Final = Path(".matrixci")
HISTORY: Final = "history.sqlite"
PLAN: Final = "plan/plan.json"

RUN_NAMES: Final = "id or its beginning, folder, latest~N, previous, last-green"
RUN_HELP: Final = f"The run: {RUN_NAMES}. Default: the latest."

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
BaselineOption = Annotated[
    str | None,
    typer.Option(metavar="RUN", help=f"Earlier run to compare with: {RUN_NAMES}; none."),
]
VersionOption = Annotated[
    str | None, typer.Option(help="The version that most cells must have been tested with.")
]
FormatsOption = Annotated[
    list[str] | None,
    typer.Option("--format", help=f"{', '.join(FORMATS)}; repeatable. Left out: all."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where to write. Left out: report/ in the run's folder; beside it for a baseline or "
        "version that is not the run's own.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which cells and checks a new run has."""

    file: MatrixOption = Path("matrix.yaml")
    work_dir: WorkDirOption = WORK_DIR
    subject: SubjectOption = None
    cell: CellsOption = None
    tier: TierOption = None
    check: CheckOption = None
    checks: ChecksOption = None
    as_of: AsOfOption = None


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Where images come from and go to."""

    base: BaseOption = None
    registry: RegistryOption = None
    build_cache: BuildCacheOption = None


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a run is compared with, and what its cells must have been tested with."""

    work_dir: WorkDirOption = WORK_DIR
    baseline: BaselineOption = None
    subject_version: VersionOption = None
    history: HistoryOption = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Which report files are written, and where."""

    formats: FormatsOption = None
    out: OutOption = None
