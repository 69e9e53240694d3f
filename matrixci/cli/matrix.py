"""The command `matrix`: run all cells on this machine."""

import asyncio
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from matrixci.cli.console import console, print_note
from matrixci.cli.install_engine import install_engine
from matrixci.cli.locks_table import print_locks, print_missing_interpreters
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import (
    HISTORY,
    BuildOptions,
    InstallEngineOption,
    NoHistoryOption,
    RequireLimitsOption,
    RunOptions,
)
from matrixci.cli.progress import Progress
from matrixci.cli.resume import resume_run
from matrixci.cli.run_settings import read_settings, refuse_empty_selection
from matrixci.execution import execute as running
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.fanout.planner import resolve_only
from matrixci.history.writer import record
from matrixci.matrix.selection import SelectedCells
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.runs.folder import RUNS
from matrixci.util.invocation import called
from matrixci.util.text import in_line
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun


@dataclass(frozen=True, kw_only=True)
class MatrixOptions:
    """Options of `matrix` alone."""

    jobs: Annotated[int | None, typer.Option(min=1, help="Maximum number of cells at a time.")] = (
        None
    )
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show the cells and their locks without building anything."),
    ] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore earlier locks and results.")] = (
        False
    )
    install_engine: InstallEngineOption = False
    require_limits: RequireLimitsOption = False
    no_history: NoHistoryOption = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume a run (default: the latest), running only cells without a final result.",
        ),
    ] = False


@with_option_groups
def matrix(
    context: typer.Context, *, run: RunOptions, build: BuildOptions, options: MatrixOptions
) -> None:
    """Resolve, build and check every cell, and print the compatibility table."""
    if options.install_engine and not options.plan:
        install_engine()
    execution = ExecutionOptions(
        jobs=options.jobs,
        fresh=options.fresh,
        base_origin=build.base,
        registry=build.registry,
        build_cache=build.build_cache,
        require_limits=options.require_limits,
    )
    history = None if options.no_history else run.work_dir / HISTORY
    if options.resume:
        _finish(*resume_run(context, run, execution), history)
    settings, chosen = read_settings(context, run, execution)
    if options.plan:
        _print_plan(settings, chosen)
        return
    progress = Progress(console(stderr=True))
    with progress.showing():
        judged = asyncio.run(running.execute(settings, chosen, progress, sys.argv[1:]))
    _finish(judged, run.work_dir / RUNS / judged.run.id, history)


def _print_plan(settings: Settings, chosen: SelectedCells) -> None:
    locks = asyncio.run(resolve_only(settings, chosen.cells, platform.machine()))
    print_locks(settings, chosen.cells, locks)
    print_missing_interpreters(settings, chosen.cells)


def _finish(judged: JudgedRun, folder: Path, history: Path | None) -> NoReturn:
    """Add a run to the history, print its table, and exit with the code of its verdict.

    Raises:
        UsageError: --check matched no check; the run is not kept.
    """
    refuse_empty_selection(judged, folder)
    if history is not None:
        record(judged, history, _warn)
    console().print(render(read_report(judged, folder)), crop=False)
    if judged.run.interrupted:
        _warn(f"interrupted; resume with: {called('matrix', '--resume')}")
    raise typer.Exit(exit_code(judged))


def _warn(text: str) -> None:
    print_note(in_line(text))
