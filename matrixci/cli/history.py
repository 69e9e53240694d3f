"""The commands of the history: take runs in, ask, and prune."""

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
from matrixci.util.text import in_line
from matrixci.verdict.load import judge_folder

app = typer.Typer(
    cls=OrderedGroup,
    help="Keep runs in a file, and ask since when a cell is red and how often a check flipped.",
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
    everything: Annotated[bool, typer.Option("--all", help="Every finished run.")] = False,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
) -> None:
    """Take runs in; one that is there already changes nothing, or is brought up to date."""
    if everything and runs:
        msg = "--all adds every run, so it takes no RUN."
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
    """Add a run, unless it is not finished or can't be read; return what became of it."""
    try:
        judged = judge_folder(folder)
    except RunFilesError as error:
        return f"{folder.name}: left out, {error}"
    if not is_finished(judged):
        return f"{folder.name}: left out, it is not finished"
    return f"{judged.run.id}: {history.add(judged)}"


@app.command("list")
def list_runs(
    *,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
    subject: SubjectOption = None,
) -> None:
    """List the runs that the history has, oldest first."""
    with History.reading(history or work_dir / HISTORY) as opened:
        runs = [run for run in opened.runs() if subject in {None, run.subject}]
    _print(shown.runs_table(runs) if runs else "There is no run in it.")


@app.command()
def show(
    cell: Annotated[
        str | None, typer.Argument(metavar="[CELL]", help="Cell id or glob; all cells.")
    ] = None,
    *,
    check: Annotated[
        str | None, typer.Option(metavar="ID", help="Check id or glob: how it went in the cells.")
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
    subject: SubjectOption = None,
) -> None:
    """Show since when cells are as they are, what changed then, and how often checks flipped."""
    with History.reading(history or work_dir / HISTORY) as opened:
        series = cell_series(opened, subject=subject, cell=cell)
        if not series:
            known = sorted({each.cell for each in cell_series(opened, subject=subject)})
            there_is = f"there is {', '.join(known)}" if known else "there is none at all"
            msg = f"The history has no cell {cell or ''}: {there_is}."
            raise UsageError(msg)
        if check is not None:
            found = check_series(opened, check, subject=subject, cell=cell)
            if not found:
                how = "write an id, a glob, or words as pytest's -k takes them"
                msg = f"The history has no check {check}; {how}."
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
        int | None, typer.Option(min=0, help="Keep this many runs of each subject, the newest.")
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Remove runs that began before this day (UTC)."),
    ] = None,
    work_dir: WorkDirOption = WORK_DIR,
    history: HistoryOption = None,
) -> None:
    """Remove old runs from the history; the runs' own folders are left alone."""
    if (keep is None) == (before is None):
        msg = "Say which runs go: --keep N or --before DATE, one of the two."
        raise UsageError(msg)
    with History.reading(history or work_dir / HISTORY) as opened:
        removed = opened.prune(keep=keep, before=before.date() if before else None)
        left = len(opened.runs())
    _print(f"runs: {len(removed)} removed, {left} left")


def _print(what: str | Text | Table) -> None:
    console().print(Text(in_line(what)) if isinstance(what, str) else what)


def _warn(text: str) -> None:
    print_note(in_line(text))
