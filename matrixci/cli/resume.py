"""The option --resume of the command `matrix`."""

import asyncio
from pathlib import Path
from typing import Final

import typer

from matrixci.cli.checks_folder import checks_folder
from matrixci.cli.console import console, print_note
from matrixci.cli.options import RunOptions
from matrixci.cli.progress import Progress
from matrixci.errors import UsageError
from matrixci.execution import execute as running
from matrixci.execution.resume import prepare_resumption, unfinished
from matrixci.execution.settings import ExecutionOptions
from matrixci.history.run_names import named_run
from matrixci.matrix.loader import load_matrix
from matrixci.model import Run, now
from matrixci.runs.folder import RunFolder, read_run
from matrixci.util.invocation import given
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

_OTHERS: Final = ("subject", "cell", "tier", "check", "as_of", "plan", "fresh")
"""Options that would change what the run is."""


def resume_run(
    context: typer.Context, run: RunOptions, options: ExecutionOptions
) -> tuple[JudgedRun, Path]:
    """Run the cells of a run that have no final result.

    Args:
        context: the command's, with the options that were given and the run's name.
        run: the options that select a run; only --matrix, --checks and --work-dir are allowed.
        options: how the cells are built and run.

    Returns:
        The judged run, and its folder.

    Raises:
        UsageError: the run does not exist, cannot be resumed, or an option is not allowed.
    """
    folder = named_run(run.work_dir, _name(context))
    stored = read_run(folder)
    if not unfinished(stored):
        print_note(f"The run {stored.run.id} is finished: every cell has a final result.")
        if stored.run.interrupted or stored.run.ended is None:  # killed after its last cell
            ended = {"ended": stored.run.ended or now(), "interrupted": False}
            RunFolder(folder).write_run(stored.run.model_copy(update=ended))
        return judge_folder(folder), folder
    resumption = prepare_resumption(
        stored,
        load_matrix(_matrix_file(context, run, stored.run)),
        checks_folder(run.checks or _checks(stored.run)),
        run.work_dir,
        options,
    )
    progress = Progress(console(stderr=True))
    with progress.showing():
        return asyncio.run(running.resume(resumption, progress)), folder


def _matrix_file(context: typer.Context, options: RunOptions, run: Run) -> Path:
    if not _is_given(context, "file") and (named := given(run.command, "--matrix")):
        return Path(named)
    return options.file


def _checks(run: Run) -> Path | None:
    return Path(run.setup.checks) if run.setup is not None and run.setup.checks else None


def _name(context: typer.Context) -> str | None:
    """Return the name of the run, or None for the latest.

    Raises:
        UsageError: the command line has other options or arguments.
    """
    others = [f"--{name.replace('_', '-')}" for name in _OTHERS if _is_given(context, name)]
    words = context.args
    others += [word for word in words if word.startswith("--")] or words[1:]
    if others:
        msg = (
            f"--resume keeps the cells and settings of a run, so it does not allow "
            f"{', '.join(others)}.\n"
            "Allowed options: --matrix, --checks, --work-dir, --jobs, --base, --registry, "
            "--build-cache and --require-limits."
        )
        raise UsageError(msg)
    return words[0] if words else None


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)  # typer does not export its type
    return source is not None and source.name != "DEFAULT"
