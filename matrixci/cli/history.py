"""The commands `history add`, `list`, `show` and `prune`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from matrixci.cli.console import console, print_note
from matrixci.cli.help import OrderedGroup
from matrixci.cli.options import HISTORY, RUN_HELP, WORK_DIR, HistoryOption, WorkDirOption
from matrixci.errors import RunFilesError, UsageError
from matrixci.history.run_names import all_runs, named_run
from matrixci.history.series import cell_series, check_series
from matrixci.history.store import History
from matrixci.history.writer import is_finished
from matrixci.reports import history_table as shown
from matrixci.util.text import in_line, listed
from matrixci.verdict.load import judge_folder

app = typer.Typer(
    cls=OrderedGroup,
    help="Record runs, and show since when cells are red and how often checks flipped.",
    no_args_is_help=True,
)

SubjectOption = Annotated[
    str | None, typer.Option("--subject", metavar="NAME", help="Only runs of this subject.")
]


@app.command()
def add(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help=RUN_HELP),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Add every finished run.")] = False,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
) -> None:
    """Add runs to the history, or update those that it has already."""
    if everything and runs:
        msg = "--all adds every run, so it cannot be used with RUN."
        raise UsageError(msg)
    folders = (
        all_runs(work_dir) if everything else [named_run(work_dir, n) for n in runs or (None,)]
    )
    with History.writing(history or work_dir / HISTORY, _warn) as opened:
        for folder in folders:
            _print(_add_leniently(opened, folder) if everything else _add(opened, folder))


def _add(history: History, folder: Path) -> str:
    judged = judge_folder(folder)
    return f"{judged.run.id}: {history.add(judged)}"


def _add_leniently(history: History, folder: Path) -> str:
    """Add a run if it is finished and readable, and return a line about it."""
    try:
        judged = judge_folder(folder)
    except RunFilesError as error:
        return f"{folder.name}: skipped, {error}"
    if not is_finished(judged):
        return f"{folder.name}: skipped, it is not finished"
    return f"{judged.run.id}: {history.add(judged)}"


@app.command("list")
def list_runs(
    *,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
    subject: SubjectOption = None,
) -> None:
    """List the runs in the history, oldest first."""
    with History.reading(history or work_dir / HISTORY) as opened:
        runs = [run for run in opened.runs() if subject in {None, run.subject}]
    _print(shown.runs_table(runs) if runs else "No runs.")


@app.command()
def show(
    cell: Annotated[
        str | None, typer.Argument(metavar="[CELL]", help="Cell id or glob. Default: all cells.")
    ] = None,
    *,
    check: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Check id or glob; shows its outcomes in each cell."),
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
    subject: SubjectOption = None,
) -> None:
    """Show since when cells have their outcome, what changed then, and which checks flipped."""
    with History.reading(history or work_dir / HISTORY) as opened:
        series = cell_series(opened, subject=subject, cell=cell)
        if not series:
            known = sorted({each.cell for each in cell_series(opened, subject=subject)})
            matching = f" that matches {cell}" if cell else ""
            available = f" Available cells: {listed(known)}." if known else ""
            msg = f"The history has no cell{matching}.{available}"
            raise UsageError(msg)
        if check is not None:
            found = check_series(opened, check, subject=subject, cell=cell)
            if not found:
                how = "Write an id, a glob, or an expression as in pytest -k."
                msg = f"The history has no check that matches {check}. {how}"
                raise UsageError(msg)
            _print(shown.checks_table(found))
            return
        if cell is None:
            _print(shown.cells_table(series))
            return
        for one in series:
            _print(shown.cell_story(opened, one))


@app.command()
def prune(
    *,
    keep: Annotated[
        int | None, typer.Option(min=0, help="Keep this many of the newest runs of each subject.")
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="Remove runs that began before this day (UTC).",
        ),
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
) -> None:
    """Remove old runs from the history; the folders of the runs are kept."""
    if (keep is None) == (before is None):
        msg = "Give either --keep N or --before DATE."
        raise UsageError(msg)
    with History.reading(history or work_dir / HISTORY) as opened:
        removed = opened.prune(keep=keep, before=before.date() if before else None)
        left = len(opened.runs())
    _print(f"runs: {len(removed)} removed, {left} left")


def _print(what: str | Text | Table) -> None:
    console().print(Text(in_line(what)) if isinstance(what, str) else what)


def _warn(text: str) -> None:
    print_note(in_line(text))
