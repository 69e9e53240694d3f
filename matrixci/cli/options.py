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

RUN_NAMES: Final = "id or prefix, folder, latest~N, previous, last-green"
RUN_HELP: Final = f"Run to use: {RUN_NAMES}. Default: the latest."

MatrixOption = Annotated[Path, typer.Option("--matrix", help="Matrix file.")]
SubjectOption = Annotated[
    str | None,
    typer.Option(help="Requirement, wheel, path or URL to test instead of the matrix's subject."),
]
CellsOption = Annotated[
    list[str] | None, typer.Option("--cell", help="Cell id or glob; repeatable.")
]
CheckOption = Annotated[
    str | None, typer.Option(help="Run only checks that match this expression, as in pytest -k.")
]
ChecksOption = Annotated[
    Path | None, typer.Option(help="Folder of checks to run instead of the built-in ones.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="Use only releases published up to this day.",
    ),
]
BaseOption = Annotated[BaseOrigin | None, typer.Option(help="Where base images must come from.")]
InstallEngineOption = Annotated[
    bool, typer.Option("--install-engine", help="Install a container engine if none is running.")
]
RequireLimitsOption = Annotated[
    bool,
    typer.Option("--require-limits", help="Fail if the engine does not enforce every limit."),
]
WorkDirOption = Annotated[Path, typer.Option("--work-dir", help="Folder for runs and caches.")]
PlanOption = Annotated[
    Path | None,
    typer.Option(help="Plan file. Default: <work-dir>/plan/plan.json.", show_default=False),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history", metavar="PATH", help="History file. Default: <work-dir>/history.sqlite."
    ),
]
NoHistoryOption = Annotated[
    bool, typer.Option("--no-history", help="Do not add the run to the history.")
]
TierOption = Annotated[
    str | None, typer.Option("--tier", help="Run only the cells of this tier of the matrix.")
]
RunOption = Annotated[str | None, typer.Option("--run", help=RUN_HELP, metavar="RUN")]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="HOST/REPO",
        parser=repository_of,
        help="Pull images that other machines built from there, and push those built here.",
    ),
]
BuildCacheOption = Annotated[
    BuildCache | None,
    typer.Option(
        "--build-cache",
        metavar="SPEC",
        parser=parse_build_cache,
        help="Also store the build cache there, in the syntax of buildx, such as type=gha.",
    ),
]
BaselineOption = Annotated[
    str | None,
    typer.Option(metavar="RUN", help=f"Earlier run to compare with: {RUN_NAMES}, or none."),
]
VersionOption = Annotated[
    str | None,
    typer.Option(help="Version of the subject that most cells must have been tested with."),
]
FormatsOption = Annotated[
    list[str] | None,
    typer.Option("--format", help=f"{', '.join(FORMATS)}; repeatable. Default: all."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where to write. Default: report/ in the run's folder, or another folder in it for "
        "another --baseline or --subject-version.",
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
