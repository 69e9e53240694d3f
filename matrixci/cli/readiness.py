"""The command `readiness`: write the report of a run."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.text import Text

from matrixci.cli.console import console, print_note
from matrixci.cli.format_names import format_names
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import HISTORY, RUN_HELP, OutputOptions, ReportOptions
from matrixci.errors import ExitCode, HistoryError
from matrixci.github.regression_issue import is_worse
from matrixci.history.reds import reds
from matrixci.history.run_names import default_baseline, named_baseline, named_run
from matrixci.history.store import History
from matrixci.history.trends import trends
from matrixci.history.writer import record
from matrixci.reports.formats import FORMATS, write_all
from matrixci.reports.report import Past, read_report
from matrixci.reports.terminal import render_readiness
from matrixci.util.text import in_line, printable
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

_NO_BASELINE: Final = "none"
_NAME_CHARACTERS: Final = 60
_FEW_CELLS: Final = 500
"""Runs of up to this many cells also get the trends of checks that never changed."""


class FailOn(StrEnum):
    """When `readiness` exits with 1."""

    NOT_READY = "not-ready"
    REGRESSION = "regression"


@with_option_groups
def readiness(
    run: Annotated[str | None, typer.Argument(help=RUN_HELP)] = None,
    *,
    options: ReportOptions,
    output: OutputOptions,
    fail_on: Annotated[
        FailOn,
        typer.Option(
            "--fail-on",
            help="regression: exit with 1 only if something is worse than in the baseline.",
        ),
    ] = FailOn.NOT_READY,
) -> None:
    """Write the release readiness report of a run, and exit with its verdict."""
    write_readiness(named_run(options.work_dir, run), options, output, fail_on=fail_on)


def write_readiness(
    folder: Path,
    options: ReportOptions,
    output: OutputOptions,
    *,
    for_release: bool = True,
    add_to_history: bool = False,
    fail_on: FailOn = FailOn.NOT_READY,
) -> NoReturn:
    """Write the report of a run, and exit with the code of its verdict.

    Args:
        folder: the run's folder.
        options: what the run is compared with.
        output: which files are written, and where.
        for_release: what was not verified makes a run NOT READY.
        add_to_history: add the run to the history first.
        fail_on: when the exit code is 1.

    Raises:
        UsageError: the format or the baseline does not exist.
    """
    formats = [FORMATS[name] for name in format_names(output.formats or [*FORMATS], [*FORMATS])]
    default = default_baseline(options.work_dir, folder) if for_release else None
    baseline = _baseline(options, folder, default)
    version = options.subject_version
    judged = judge_folder(folder, baseline, for_release=for_release, subject_version=version)
    if add_to_history:
        record(judge_folder(folder), options.history or options.work_dir / HISTORY, _warn)
    report = read_report(judged, folder, _past(judged, options))
    variant = _variant(baseline, default, version) if for_release else []
    paths = write_all(report, output.out or folder / "-".join(["report", *variant]), formats)
    out = console()
    out.print(render_readiness(report), crop=False)
    for path in paths:
        out.print(Text(f"  {printable(str(path))}", style="dim"), soft_wrap=True)
    raise typer.Exit(_exit_code(judged, fail_on))


def _exit_code(judged: JudgedRun, fail_on: FailOn) -> ExitCode:
    code = exit_code(judged)
    if code is ExitCode.FAILURES and fail_on is FailOn.REGRESSION and not is_worse(judged):
        return ExitCode.READY
    return code


def _variant(baseline: Path | None, default: Path | None, version: str | None) -> list[str]:
    """Return parts of a folder name for a report with other than the default options."""
    parts = [] if version is None else [version]
    if not _is_same(baseline, default):
        parts += ["against", baseline.name if baseline else _NO_BASELINE]
    return [re.sub(r"[^\w.+-]+", "_", part)[:_NAME_CHARACTERS] for part in parts]


def _is_same(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.resolve() == other.resolve()


def _baseline(options: ReportOptions, folder: Path, default: Path | None) -> Path | None:
    """Return the folder of the baseline, or None for no baseline.

    Raises:
        UsageError: the run that --baseline names does not exist.
    """
    name = options.baseline
    if name is not None:
        return None if name == _NO_BASELINE else named_baseline(options.work_dir, name, folder)
    if default is not None:
        _warn(f"baseline: {default.name}, the last green run (--baseline RUN, or none)")
    return default


def _past(judged: JudgedRun, options: ReportOptions) -> Past | None:
    """Return a run's trends from the history, or None if it cannot be read.

    Raises:
        UsageError: the file that --history names is missing or is not a history.
    """
    path = options.history or options.work_dir / HISTORY
    if options.history is None and not path.exists():
        return None
    try:
        with History.reading(path) as opened:
            steady = len(judged.cells) <= _FEW_CELLS
            return Past(trends=trends(opened, judged.run, steady=steady), reds=reds(opened, judged))
    except HistoryError as error:
        _warn(f"warning: the report has no trends: {in_line(str(error))}")
        return None


def _warn(text: str) -> None:
    print_note(in_line(text))
