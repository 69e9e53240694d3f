"""The commands that read a run's files: show it again, decide on it, compare it."""

import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from matrixci.cli.console import WIDTH, console
from matrixci.cli.options import (
    HISTORY,
    RUN_HELP,
    RUN_NAMES,
    WORK_DIR,
    HistoryOption,
    WorkDirOption,
)
from matrixci.errors import ExitCode, HistoryError, UsageError
from matrixci.github.regression_issue import is_worse
from matrixci.history.reds import reds
from matrixci.history.run_names import default_baseline, named_baseline, named_run
from matrixci.history.store import History
from matrixci.history.trends import trends
from matrixci.history.writer import record
from matrixci.reports import comparison
from matrixci.reports.formats import FORMATS, write_all
from matrixci.reports.report import Past, read_report
from matrixci.reports.terminal import render, render_readiness
from matrixci.reports.terminal_table import render_matrix
from matrixci.util.files import write_whole
from matrixci.util.text import did_you_mean, in_line, printable
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

_NO_BASELINE: Final = "none"
_NAME_CHARACTERS: Final = 60
_FEW_CELLS: Final = 500
"""Up to as many cells, the trends of checks that never changed are drawn, too."""

BaselineOption = Annotated[
    str | None,
    typer.Option(metavar="RUN", help=f"Earlier run to compare with: {RUN_NAMES}; none."),
]
VersionOption = Annotated[
    str | None, typer.Option(help="The version that most cells must have been tested with.")
]
FormatsOption = Annotated[
    list[str] | None,
    typer.Option("--format", help=f"{', '.join(FORMATS)}; repeatable. Left out: all."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where to write. Left out: report/ in the run's folder; beside it for a baseline or "
        "version that is not the run's own.",
    ),
]


class FailOn(StrEnum):
    """What the exit code of `readiness` tells as failures."""

    NOT_READY = "not-ready"
    REGRESSION = "regression"


FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="regression: exit 1 only where something is worse than in the baseline.",
    ),
]


def show(
    run: Annotated[str | None, typer.Argument(help=RUN_HELP)] = None,
    *,
    work_dir: WorkDirOption = WORK_DIR,
    svg: Annotated[Path | None, typer.Option(help="Write the matrix as a picture as well.")] = None,
) -> None:
    """Print the table of a run again, from its files alone."""
    folder = named_run(work_dir, run)
    judged = judge_folder(folder)
    console().print(render(read_report(judged, folder)), crop=False)
    if svg is not None:
        picture = Console(record=True, file=StringIO(), width=WIDTH, force_terminal=True)
        picture.print(render_matrix(judged))
        write_whole(svg, _without_fonts(picture.export_svg(title="matrixci")))
    raise typer.Exit(exit_code(judged))


def readiness(  # noqa: PLR0913
    run: Annotated[str | None, typer.Argument(help=RUN_HELP)] = None,
    *,
    work_dir: WorkDirOption = WORK_DIR,
    baseline: BaselineOption = None,
    subject_version: VersionOption = None,
    history: HistoryOption = None,
    formats: FormatsOption = None,
    out: OutOption = None,
    fail_on: FailOnOption = FailOn.NOT_READY,
) -> None:
    """Write the report that a release is decided on, and exit by the verdict."""
    write_readiness(
        named_run(work_dir, run),
        work_dir=work_dir,
        baseline=baseline,
        subject_version=subject_version,
        history=history,
        formats=formats,
        out=out,
        fail_on=fail_on,
    )


def write_readiness(  # noqa: PLR0913 - options of the commands
    folder: Path,
    *,
    work_dir: Path,
    baseline: str | None,
    subject_version: str | None,
    history: Path | None,
    formats: list[str] | None,
    out: Path | None,
    for_release: bool = True,
    keep: bool = False,
    fail_on: FailOn = FailOn.NOT_READY,
) -> NoReturn:
    """Write the report that a release is decided on, and exit by the verdict.

    Args:
        folder: of the run.
        work_dir: where other runs and the history lie.
        baseline: id or folder of an earlier run.
        subject_version: that most cells must have been tested with.
        history: the history's file; None: that of the work directory.
        formats: names of formats; None: all.
        out: where to write; None: report/ in the run's folder, or beside it for another question.
        for_release: what was not verified stands against the release.
        keep: add the run to the history first.
        fail_on: what the exit code tells as failures.

    Raises:
        UsageError: there is no such format, or no such baseline.
    """
    chosen = [FORMATS[name] for name in _named(formats or list(FORMATS), list(FORMATS))]
    own = default_baseline(work_dir, folder) if for_release else None
    before = _baseline(work_dir, baseline, folder, own)
    judged = judge_folder(
        folder,
        before,
        for_release=for_release,
        subject_version=subject_version,
    )
    if keep:
        record(judge_folder(folder), history or work_dir / HISTORY, _say)
    report = read_report(judged, folder, _past(judged, work_dir, history))
    asked = _another_question(before, own, subject_version) if for_release else []
    paths = write_all(report, out or folder / "-".join(["report", *asked]), chosen)
    out_to = console()
    out_to.print(render_readiness(report), crop=False)
    for path in paths:
        out_to.print(Text(f"  {printable(str(path))}", style="dim"), soft_wrap=True)
    raise typer.Exit(_exit_code(judged, fail_on))


def _exit_code(judged: JudgedRun, fail_on: FailOn) -> ExitCode:
    code = exit_code(judged)
    if code is ExitCode.FAILURES and fail_on is FailOn.REGRESSION and not is_worse(judged):
        return ExitCode.READY
    return code


def _another_question(before: Path | None, own: Path | None, version: str | None) -> list[str]:
    """Return what tells a question apart from the run's own, as parts of a folder's name."""
    parts = [] if version is None else [version]
    if before != own and (before is None or own is None or before.resolve() != own.resolve()):
        parts += ["against", before.name if before else _NO_BASELINE]
    return [re.sub(r"[^\w.+-]+", "_", part)[:_NAME_CHARACTERS] for part in parts]


def _baseline(work_dir: Path, name: str | None, of: Path, own: Path | None) -> Path | None:
    """Return the folder of the baseline; None where there is none, or none is wanted.

    Args:
        work_dir: where runs lie.
        name: as the user gave it.
        of: the folder of the run that is compared with it.
        own: the last green run, for where none is named.

    Raises:
        UsageError: there is no such run.
    """
    if name is not None:
        return None if name == _NO_BASELINE else named_baseline(work_dir, name, of)
    if own is not None:
        _say(f"baseline: {own.name}, the last green run (--baseline RUN, or none)")
    return own


def _past(judged: JudgedRun, work_dir: Path, history: Path | None) -> Past | None:
    """Return what the history knows about a run, None where no history can be read.

    Raises:
        UsageError: the file that was asked for is missing, or is no history.
    """
    path = history or work_dir / HISTORY
    if history is None and not path.exists():
        return None
    try:
        with History.reading(path) as opened:
            steady = len(judged.cells) <= _FEW_CELLS
            return Past(trends=trends(opened, judged.run, steady=steady), reds=reds(opened, judged))
    except HistoryError as error:
        _say(f"warning: the report has no trends: {in_line(str(error))}")
        return None


def compare(
    before: Annotated[str, typer.Argument(help=f"The earlier run: {RUN_NAMES}.")],
    after: Annotated[str, typer.Argument(help=f"The later run: {RUN_NAMES}.")],
    *,
    work_dir: WorkDirOption = WORK_DIR,
    form: Annotated[
        str, typer.Option("--format", help=f"terminal, {', '.join(comparison.FORMATS)}.")
    ] = "terminal",
) -> None:
    """Print the difference of two runs: results, locks, metrics."""
    (name,) = _named([form], ["terminal", *comparison.FORMATS])
    folder = named_run(work_dir, after)
    earlier = named_baseline(work_dir, before, folder)
    report = read_report(judge_folder(folder, earlier), folder)
    if name == "terminal":
        console().print(comparison.render_terminal(report), crop=False)
    else:
        sys.stdout.write(comparison.FORMATS[name](report))


def _named(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names of formats, each once.

    Raises:
        UsageError: there is no such format.
    """
    for name in wanted:
        if name not in known:
            msg = f"There is no format {name!r}; {did_you_mean(name, known)}"
            raise UsageError(msg)
    return list(dict.fromkeys(wanted))


def _say(text: str) -> None:
    console(stderr=True).print(Text(in_line(text)), soft_wrap=True)


def _without_fonts(picture: str) -> str:
    """Take out the fonts that a picture would fetch from elsewhere: nobody is told who looks."""
    return re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
