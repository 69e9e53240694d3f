"""The command `cell`: run one cell of a plan."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from matrixci.cli.checks_folder import checks_folder
from matrixci.cli.console import console
from matrixci.cli.install_engine import install_engine
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import (
    PLAN,
    WORK_DIR,
    BuildOptions,
    ChecksOption,
    InstallEngineOption,
    PlanOption,
    RequireLimitsOption,
    WorkDirOption,
)
from matrixci.cli.progress import Progress
from matrixci.errors import UsageError
from matrixci.execution.settings import ExecutionOptions
from matrixci.fanout.cell import cell_settings, execute_cell
from matrixci.fanout.plan import read_plan
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.runs.folder import RunFolder
from matrixci.verdict.judge import exit_code, selected_nothing


@dataclass(frozen=True, kw_only=True)
class CellFiles:
    """Files and folders that a planned cell is run with."""

    plan: PlanOption = None
    output: Annotated[
        Path | None, typer.Option(help="Folder for the result. Default: <work-dir>/cells/ID.")
    ] = None
    work_dir: WorkDirOption = WORK_DIR
    checks: ChecksOption = None


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Other options of `cell` alone."""

    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ignore an earlier result of the cell.")
    ] = False
    keep_wheels: Annotated[
        bool,
        typer.Option(
            help="Keep wheels on the engine for later builds, which doubles the disk space needed."
        ),
    ] = True
    install_engine: InstallEngineOption = False
    require_limits: RequireLimitsOption = False


@with_option_groups
def cell(
    cell: Annotated[str, typer.Argument(metavar="ID", help="Cell id.")],
    *,
    files: CellFiles,
    build: BuildOptions,
    options: CellOptions,
) -> None:
    """Run one cell of a plan; `report` merges the results of all machines."""
    file = files.plan or files.work_dir / PLAN
    plan = read_plan(file)
    planned_cell = plan.cell(cell)
    setup = plan.run.setup
    checks = files.checks or (Path(setup.checks) if setup is not None and setup.checks else None)
    execution = ExecutionOptions(
        fresh=options.fresh,
        base_origin=build.base,
        registry=build.registry,
        build_cache=build.build_cache,
        keep_wheels=options.keep_wheels,
        require_limits=options.require_limits,
    )
    settings = cell_settings(plan, file.parent, checks_folder(checks), files.work_dir, execution)
    if options.install_engine:
        install_engine()
    folder = RunFolder.emptied(files.output or files.work_dir / "cells" / cell)
    progress = Progress(console(stderr=True))
    with progress.showing():
        judged = asyncio.run(execute_cell(plan, planned_cell, settings, folder, progress))
    console().print(render(read_report(judged, folder.path)), crop=False)
    if selected_nothing(judged):
        msg = f"No check matches --check {judged.run.check_filter}, which the plan has."
        raise UsageError(msg)
    raise typer.Exit(exit_code(judged))
