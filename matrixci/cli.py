"""The command line: it parses, calls one function, and sets the exit code."""

import asyncio
import logging
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn, assert_never

import typer
from rich.table import Table
from rich.text import Text

from matrixci import cli_history
from matrixci import cli_reports as reports
from matrixci import run as running
from matrixci.cells import Selection
from matrixci.cli_constraints import print_constraints
from matrixci.cli_options import HOME, BuildCacheOption, HomeOption, RegistryOption, checks_folder
from matrixci.cli_reproduce import reproduce
from matrixci.cli_resume import go_on
from matrixci.console import console
from matrixci.data import data_folder
from matrixci.engine import Engine
from matrixci.errors import EngineError, ExitCode, MatrixciError, UsageError
from matrixci.judge import exit_code
from matrixci.judged import JudgedRun
from matrixci.lock import Lock, Unsatisfiable
from matrixci.matrix.file import load_matrix
from matrixci.model import BaseOrigin
from matrixci.pipeline import Settings
from matrixci.progress import Progress
from matrixci.redaction import redact
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.run_folder import RUNS
from matrixci.subject import resolve_subject
from matrixci.wording import did_you_mean, in_line, printable, several

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(cli_history.app, name="history")
app.command("constraints")(print_constraints)
app.command()(reproduce)

MatrixOption = Annotated[Path, typer.Option("--matrix", help="The matrix file.")]


@app.callback()
def matrixci() -> None:
    """Containerized matrix CI for PyTorch and Hugging Face packages."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Each axis of the matrix is an option as well: --python 3.12 --device cpu --numpy 1.x",
)
def matrix(  # noqa: PLR0913
    context: typer.Context,
    *,
    file: MatrixOption = Path("matrix.yaml"),
    home: HomeOption = HOME,
    subject: Annotated[
        str | None, typer.Option(help="Requirement, wheel, path or URL, instead of the matrix's.")
    ] = None,
    cell: Annotated[list[str] | None, typer.Option(help="Cell id or glob; repeatable.")] = None,
    check: Annotated[
        str | None, typer.Option(help="Only checks that match, as pytest's -k understands it.")
    ] = None,
    checks: Annotated[
        Path | None, typer.Option(help="Folder of checks, instead of the built-in ones.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only releases published up to this day."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cells under way at once.")] = None,
    base: Annotated[
        BaseOrigin | None, typer.Option(help="How base images must come to be.")
    ] = None,
    registry: RegistryOption = None,
    build_cache: BuildCacheOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the cells and their locks; build nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Resolve and run everything anew.")
    ] = False,
    install_engine: Annotated[
        bool, typer.Option("--install-engine", help="Install an engine where none answers.")
    ] = False,
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
        _install_engine()
    if resume:
        again = go_on(
            context,
            file=file,
            checks=checks,
            home=home,
            jobs=jobs,
            base=base,
            registry=registry,
            build_cache=build_cache,
        )
        _finish(*again)
    loaded = load_matrix(file)
    selection = Selection(
        axes=_axis_options(context.args, list(loaded.axes)), cells=tuple(cell or ())
    )
    planned = running.plan(loaded, selection)
    settings = Settings(
        matrix=loaded,
        subject=asyncio.run(resolve_subject(subject or loaded.subject, home / "subjects")),
        checks=checks_folder(checks),
        home=home,
        check_filter=check,
        as_of=as_of.date() if as_of else None,
        jobs=jobs,
        fresh=fresh,
        base_origin=base,
        registry=registry,
        build_cache=build_cache,
    )
    if plan:
        _show_plan(settings, planned)
        return
    progress = Progress(console(stderr=True))
    with progress.showing():
        judged = asyncio.run(running.execute(settings, planned, progress, sys.argv[1:]))
    _finish(judged, home / RUNS / judged.run.id)


def _finish(judged: JudgedRun, folder: Path) -> NoReturn:
    """Print what a run came to, and exit by it."""
    console().print(render(read_report(judged, folder)), crop=False)
    raise typer.Exit(exit_code(judged))


for command in (reports.show, reports.readiness, reports.compare):
    app.command()(command)


@app.command()
def clean(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Base images and the engine's build cache, too.")
    ] = False,
) -> None:
    """Remove containers, volumes and images that the project made; runs are kept."""
    console().print(asyncio.run(_clean(everything=everything)))


async def _clean(*, everything: bool) -> str:
    return await (await Engine.connect()).clean(everything=everything)


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


def _axis_options(words: list[str], axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read what is left of a command line as options named after the matrix's axes.

    Raises:
        UsageError: it is none, or has no value.
    """
    wanted: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in axes:
            known = [*(f"--{axis}" for axis in axes), *_OPTIONS]
            msg = f"There is no option {word}; {did_you_mean(word, known)}"
            raise UsageError(msg)
        if not given:
            value = next(rest, "")
        if not value:
            msg = f"{word} needs a value of the axis {name}."
            raise UsageError(msg)
        wanted.setdefault(name, []).extend(value.split(","))
    return {name: tuple(values) for name, values in wanted.items()}


def _install_engine() -> None:
    """Install and start an engine where none answers.

    Raises:
        EngineError: that failed; the script has said why.
    """
    script = data_folder("docker") / "engine.sh"
    if subprocess.run(["bash", str(script), "install"], check=False).returncode != 0:  # noqa: S603, S607
        msg = "No container engine could be installed."
        raise EngineError(msg)


def _show_plan(settings: Settings, planned: running.Plan) -> None:
    locks = asyncio.run(running.resolve_only(settings, planned.cells, platform.machine()))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cell", "lock", ""):
        table.add_column(title)
    for cell in planned.cells:
        match locks[cell.id]:
            case Lock() as lock:
                names = [
                    settings.subject.subject.name,
                    *running.companions(settings.matrix),
                    "numpy",
                ]
                pins = [
                    f"{name} {lock.versions[name]}"
                    for name in dict.fromkeys(names)
                    if name in lock.versions
                ]
                fallback = " (default index)" if lock.fallback else ""
                table.add_row(cell.id, lock.digest[:12], ", ".join(pins) + fallback)
            case Unsatisfiable() as proof:
                table.add_row(cell.id, "∅", Text(in_line(f"unsatisfiable: {proof.reason}")))
            case _ as never:
                assert_never(never)
    out = console()
    out.print(table)
    distinct = {lock.digest for lock in locks.values() if isinstance(lock, Lock)}
    out.print(f"{several(len(planned.cells), 'cell')}, {several(len(distinct), 'distinct lock')}")


# What a mistyped axis option may have meant.
_OPTIONS: Final = (
    "--subject",
    "--cell",
    "--check",
    "--checks",
    "--as-of",
    "--jobs",
    "--base",
    "--registry",
    "--build-cache",
    "--plan",
    "--fresh",
    "--install-engine",
    "--resume",
    "--matrix",
    "--home",
)
