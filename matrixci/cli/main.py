"""The command line: it parses, calls one function, and sets the exit code."""

import asyncio
import logging
import platform
import signal
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from matrixci.cli import cell as cli_cell
from matrixci.cli import history as cli_history
from matrixci.cli import reports
from matrixci.cli.clean import clean
from matrixci.cli.console import console
from matrixci.cli.constraints import print_constraints
from matrixci.cli.help import OrderedGroup, PlainCommand
from matrixci.cli.issue import issue
from matrixci.cli.options import (
    AXES_HELP,
    AXES_TOO,
    HISTORY,
    WORK_DIR,
    AsOfOption,
    BaseOption,
    BuildCacheOption,
    CellsOption,
    CheckOption,
    ChecksOption,
    InstallEngineOption,
    MatrixOption,
    NoHistoryOption,
    RegistryOption,
    RequireLimitsOption,
    SubjectOption,
    TierOption,
    WorkDirOption,
)
from matrixci.cli.plan import plan_run, show_locks, show_missing_interpreters
from matrixci.cli.progress import Progress
from matrixci.cli.reproduce import reproduce
from matrixci.cli.resume import go_on
from matrixci.cli.run_options import Asked, asked, make_sure_of_engine, refuse_empty_selection
from matrixci.errors import ExitCode, MatrixciError
from matrixci.execution import execute as running
from matrixci.fanout.planner import resolve_only
from matrixci.history.writer import record
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.runs.folder import RUNS
from matrixci.util.invocation import called
from matrixci.util.redaction import redact
from matrixci.util.text import in_line, printable
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun

app = typer.Typer(
    cls=OrderedGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(cli_history.app, name="history")
app.command("constraints")(print_constraints)
app.command()(reproduce)
app.command("cell")(cli_cell.run_cell)
app.command()(cli_cell.report)
app.command("plan", context_settings=AXES_TOO, epilog=AXES_HELP)(plan_run)
app.command()(issue)
app.command()(clean)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer passes it so
    if value:
        console().print(f"matrixci {version('matrixci')}", highlight=False)
        raise typer.Exit


@app.callback()
def matrixci(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Containerized matrix CI for PyTorch and Hugging Face packages."""


@app.command(context_settings=AXES_TOO, epilog=AXES_HELP)
def matrix(  # noqa: PLR0913
    context: typer.Context,
    *,
    file: MatrixOption = Path("matrix.yaml"),
    work_dir: WorkDirOption = WORK_DIR,
    subject: SubjectOption = None,
    cell: CellsOption = None,
    tier: TierOption = None,
    check: CheckOption = None,
    checks: ChecksOption = None,
    as_of: AsOfOption = None,
    base: BaseOption = None,
    registry: RegistryOption = None,
    build_cache: BuildCacheOption = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cells under way at once.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the cells and their locks; build nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Resolve and run everything anew.")
    ] = False,
    install_engine: InstallEngineOption = False,
    require_limits: RequireLimitsOption = False,
    no_history: NoHistoryOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run, --resume [RUN], or the latest: what has no final result.",
        ),
    ] = False,
) -> None:
    """Resolve, build and check every cell, and print the compatibility table."""
    if install_engine and not plan:
        make_sure_of_engine()
    if resume:
        again = go_on(
            context,
            file=file,
            checks=checks,
            work_dir=work_dir,
            jobs=jobs,
            base=base,
            registry=registry,
            build_cache=build_cache,
            require_limits=require_limits,
        )
        _finish(*again, None if no_history else work_dir / HISTORY)
    settings, chosen = asked(
        context,
        Asked(
            file=file,
            work_dir=work_dir,
            subject=subject,
            cells=cell,
            tier=tier,
            check=check,
            checks=checks,
            as_of=as_of,
            base=base,
            fresh=fresh,
            registry=registry,
            build_cache=build_cache,
            require_limits=require_limits,
        ),
        jobs=jobs,
    )
    if plan:
        locks = asyncio.run(resolve_only(settings, chosen.cells, platform.machine()))
        show_locks(settings, chosen.cells, locks)
        show_missing_interpreters(settings, chosen.cells)
        return
    progress = Progress(console(stderr=True))
    with progress.showing():
        judged = asyncio.run(running.execute(settings, chosen, progress, sys.argv[1:]))
    _finish(judged, work_dir / RUNS / judged.run.id, None if no_history else work_dir / HISTORY)


def _finish(judged: JudgedRun, folder: Path, history: Path | None) -> NoReturn:
    """Add a run to the history, if there is one, print its table, and exit by its verdict.

    Raises:
        UsageError: the selection of checks names none; the run is not kept.
    """
    refuse_empty_selection(judged, folder)
    if history is not None:
        record(judged, history, _warn)
    console().print(render(read_report(judged, folder)), crop=False)
    if judged.run.interrupted:
        _warn(f"interrupted; go on with: {called('matrix', '--resume')}")
    raise typer.Exit(exit_code(judged))


def _warn(text: str) -> None:
    console(stderr=True).print(Text(in_line(text)), soft_wrap=True)


for command in (reports.show, reports.readiness, reports.compare):
    app.command()(command)


for registered in (*app.registered_commands, *cli_history.app.registered_commands):
    registered.cls = PlainCommand


def main() -> None:
    """Run the command line; mistakes and failures are told in plain words."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with suppress(ValueError):  # not in the main thread
        # A shell starts what it puts in the background with this signal ignored; a run must end in
        # order there as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except MatrixciError as error:
        told = "\n".join(map(printable, redact(str(error)).splitlines()))
        console(stderr=True).print(Text(told), soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _interrupt(*_: object) -> None:
    """Take a request to terminate as one to end in order."""
    signal.raise_signal(signal.SIGINT)
