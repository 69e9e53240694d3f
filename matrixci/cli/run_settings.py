"""Settings and cells of a new run, read from the command's options and the matrix file."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import typer

from matrixci.cli.axis_options import axis_options
from matrixci.cli.checks_folder import checks_of
from matrixci.cli.console import print_note
from matrixci.cli.options import RunOptions
from matrixci.errors import UsageError
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.locks.own_wheels import WHEELS
from matrixci.locks.required_wheels import make_wheels, without_credentials
from matrixci.locks.subject import resolve_subject
from matrixci.locks.uv_settings import ignored_settings
from matrixci.matrix.loader import load_matrix
from matrixci.matrix.selection import SelectedCells, Selection, select_cells
from matrixci.runs.folder import remove_run
from matrixci.sandbox.check_filter import validate_filter, validate_match
from matrixci.util.text import in_line, listed
from matrixci.verdict.judge import selected_nothing
from matrixci.verdict.judged import JudgedRun

_FIRST_WHEELS: Final = date(2013, 1, 1)


def read_settings(
    context: typer.Context, run: RunOptions, options: ExecutionOptions
) -> tuple[Settings, SelectedCells]:
    """Return the settings of a new run and its cells.

    Args:
        context: the command's; the rest of its command line are options named after the axes.
        run: the options that select cells and checks.
        options: how the cells are built and run.

    Raises:
        UsageError: the matrix, selection, subject, checks or check filter are invalid.
    """
    validate_filter(run.check or "")
    as_of = _as_of(run.as_of)
    _print_ignored_settings()
    matrix = load_matrix(run.file)
    selection = Selection(
        axes=axis_options(context, list(matrix.axes)),
        cells=tuple(run.cell or ()),
        tier=run.tier,
    )
    every = select_cells(matrix, selection)
    chosen = without_credentials(every)
    subject = resolve_subject(run.subject or matrix.subject, run.work_dir / "subjects")
    settings = Settings(
        matrix=matrix,
        subject=asyncio.run(subject),
        own_wheels=asyncio.run(make_wheels(every.cells, run.work_dir / WHEELS, _print_progress)),
        checks=checks_of(matrix, run.file, run.checks),
        checks_chosen=run.checks is not None or matrix.checks is not None,
        work_dir=run.work_dir,
        check_filter=run.check,
        as_of=as_of,
        options=options,
    )
    validate_match(run.check or "", settings.sources.files["checks"])
    return settings, chosen


def _as_of(option: datetime | None) -> date | None:
    """Return the day of --as-of.

    Raises:
        UsageError: the day is in the future, or before the first wheels.
    """
    if option is None:
        return None
    day = option.date()
    # Both, since it may be tomorrow already where the user is.
    today = max(datetime.now(UTC).date(), datetime.now().astimezone().date())
    if day > today:
        msg = f"--as-of {day} is in the future. The newest possible day is today, {today}."
        raise UsageError(msg)
    if day < _FIRST_WHEELS:
        msg = f"--as-of {day} is too early: only wheels are installed, and the first are from 2013."
        raise UsageError(msg)
    return day


def _print_progress(text: str) -> None:
    print_note(in_line(text))


def _print_ignored_settings() -> None:
    if ignored := ignored_settings(Path.cwd()):
        text = f"ignored, because locks depend only on matrix.yaml and the index: {listed(ignored)}"
        print_note(in_line(text))


def refuse_empty_selection(judged: JudgedRun, folder: Path) -> None:
    """Delete a run whose --check matched no check, since it has no result.

    Args:
        judged: the run.
        folder: the run's folder.

    Raises:
        UsageError: no check matched.
    """
    if selected_nothing(judged):
        remove_run(folder)
        msg = f"No check matches --check {judged.run.check_filter}; the run is not kept."
        raise UsageError(msg)
