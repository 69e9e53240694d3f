"""The part of the matrix command that goes on with a run."""

import asyncio
from pathlib import Path
from typing import Final

import typer
from rich.text import Text

from matrixci.cli.console import console
from matrixci.cli.options import checks_folder
from matrixci.cli.progress import Progress
from matrixci.errors import UsageError
from matrixci.execution import execute as running
from matrixci.execution.resume import prepare, unfinished
from matrixci.history.run_names import named_run
from matrixci.images.build_cache import BuildCache
from matrixci.matrix.loader import load_matrix
from matrixci.model import BaseOrigin, now
from matrixci.runs.folder import RunFolder, read_run
from matrixci.util.invocation import given
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

_OTHERS: Final = ("subject", "cell", "tier", "check", "as_of", "plan", "fresh")
"""Options that would make it another run."""


def go_on(  # noqa: PLR0913 - options of the command
    context: typer.Context,
    *,
    file: Path,
    checks: Path | None,
    work_dir: Path,
    jobs: int | None,
    base: BaseOrigin | None,
    registry: str | None,
    build_cache: BuildCache | None,
    require_limits: bool,
) -> tuple[JudgedRun, Path]:
    """Run what has no final result in a run; return the judged run, and its folder.

    Args:
        context: of the command: what was given, and what is left of the command line.
        file: the matrix's, unless the run's own command named another.
        checks: the folder of checks; None: the run's.
        work_dir: where runs lie.
        jobs: cells under way at once.
        base: how base images must come to be; None: as the run had it.
        registry: the repository through which images are shared.
        build_cache: where BuildKit's own cache is kept.
        require_limits: an engine that can't enforce every limit is refused.

    Raises:
        UsageError: there is no such run, it can't go on, or an option would make it another run.
    """
    folder = named_run(work_dir, _name(context))
    stored = read_run(folder)
    if not unfinished(stored):
        _say(f"The run {stored.run.id} is finished: every cell has its final result.")
        if stored.run.interrupted or stored.run.ended is None:  # broken off after its last cell
            ended = {"ended": stored.run.ended or now(), "interrupted": False}
            RunFolder(folder).write_run(stored.run.model_copy(update=ended))
        return judge_folder(folder), folder
    if not _is_given(context, "file") and (named := given(stored.run.command, "--matrix")):
        file = Path(named)
    setup = stored.run.setup
    if checks is None and setup is not None and setup.checks is not None:
        checks = Path(setup.checks)
    what = prepare(
        stored,
        load_matrix(file),
        checks_folder(checks),
        work_dir,
        jobs=jobs,
        base_origin=base,
        registry=registry,
        build_cache=build_cache,
        require_limits=require_limits,
    )
    progress = Progress(console(stderr=True))
    with progress.showing():
        return asyncio.run(running.resume(what, progress)), folder


def _name(context: typer.Context) -> str | None:
    """Return what names the run, None for the latest.

    Raises:
        UsageError: something else is on the command line.
    """
    others = [f"--{name.replace('_', '-')}" for name in _OTHERS if _is_given(context, name)]
    words = context.args
    others += [word for word in words if word.startswith("--")] or words[1:]
    if others:
        msg = (
            f"--resume goes on with a run as it began, so it takes no {', '.join(others)}.\n"
            "Beside it go --matrix, --checks, --work-dir, --jobs, --base, --registry, "
            "--build-cache and --require-limits."
        )
        raise UsageError(msg)
    return words[0] if words else None


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)  # its type has no place of its own in typer
    return source is not None and source.name != "DEFAULT"


def _say(text: str) -> None:
    console(stderr=True).print(Text(text), soft_wrap=True)
