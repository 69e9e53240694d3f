"""The commands at both ends of a run on many machines: one cell of a plan, and all put together."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from matrixci.cli.console import console
from matrixci.cli.options import (
    PLAN,
    WORK_DIR,
    BaseOption,
    BuildCacheOption,
    ChecksOption,
    HistoryOption,
    InstallEngineOption,
    NoHistoryOption,
    PlanOption,
    RegistryOption,
    RequireLimitsOption,
    WorkDirOption,
    checks_folder,
)
from matrixci.cli.progress import Progress
from matrixci.cli.reports import (
    BaselineOption,
    FormatsOption,
    OutOption,
    VersionOption,
    write_readiness,
)
from matrixci.cli.run_options import make_sure_of_engine, refuse_empty_selection
from matrixci.errors import UsageError
from matrixci.fanout.cell import execute_cell, settings_of
from matrixci.fanout.merge import find_plan, merge
from matrixci.fanout.plan import read_plan
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.runs.folder import RunFolder
from matrixci.verdict.judge import exit_code, selected_nothing
from matrixci.verdict.load import judge_folder


def run_cell(  # noqa: PLR0913
    cell: Annotated[str, typer.Argument(metavar="ID", help="Cell id.")],
    *,
    plan: PlanOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the result; <work-dir>/cells/ID.")
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    checks: ChecksOption = None,
    base: BaseOption = None,
    registry: RegistryOption = None,
    build_cache: BuildCacheOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run it, whatever is known of it here.")
    ] = False,
    keep_wheels: Annotated[
        bool,
        typer.Option(
            help="Keep wheels on the engine for other builds; without them, half the disk will do."
        ),
    ] = True,
    install_engine: InstallEngineOption = False,
    require_limits: RequireLimitsOption = False,
) -> None:
    """Run one cell of a plan, on any machine; its folder is what `report` puts together."""
    place = plan or work_dir / PLAN
    planned = read_plan(place)
    what = planned.cell(cell)
    setup = planned.run.setup
    named = Path(setup.checks) if setup is not None and setup.checks is not None else None
    settings = settings_of(
        planned,
        place.parent,
        checks_folder(checks or named),
        work_dir,
        fresh=fresh,
        base_origin=base,
        registry=registry,
        build_cache=build_cache,
        keep_wheels=keep_wheels,
        require_limits=require_limits,
    )
    if install_engine:
        make_sure_of_engine()
    folder = RunFolder.emptied(output or work_dir / "cells" / cell)
    progress = Progress(console(stderr=True))
    with progress.showing():
        judged = asyncio.run(execute_cell(planned, what, settings, folder, progress))
    console().print(render(read_report(judged, folder.path)), crop=False)
    if selected_nothing(judged):
        msg = f"No check matches --check {judged.run.check_filter} of the plan."
        raise UsageError(msg)
    raise typer.Exit(exit_code(judged))


def report(  # noqa: PLR0913
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of results.")],
    *,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="The plan's file; plan.json in one of the folders, or <work-dir>/plan/plan.json."
        ),
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    baseline: BaselineOption = None,
    subject_version: VersionOption = None,
    history: HistoryOption = None,
    no_history: NoHistoryOption = False,
    formats: FormatsOption = None,
    out: OutOption = None,
) -> None:
    """Put cells of a plan together into one run, write its report, and exit by the verdict."""
    planned = find_plan(folders, work_dir / PLAN) if plan is None else read_plan(plan)
    merged = merge(planned, folders, work_dir)
    _say(merged.remarks)
    if planned.run.check_filter is not None:
        refuse_empty_selection(judge_folder(merged.folder), merged.folder)
    write_readiness(
        merged.folder,
        work_dir=work_dir,
        baseline=baseline,
        subject_version=subject_version,
        history=history,
        formats=formats,
        out=out,
        for_release=False,  # the verdict is the one of `matrix` on one machine
        keep=not no_history,
    )


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        console(stderr=True).print(Text(line), soft_wrap=True)
