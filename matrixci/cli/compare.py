"""The command `compare`: print the differences between two runs."""

import sys
from typing import Annotated

import typer

from matrixci.cli.console import console
from matrixci.cli.format_names import format_names
from matrixci.cli.options import RUN_NAMES, WORK_DIR, WorkDirOption
from matrixci.history.run_names import named_baseline, named_run
from matrixci.reports import comparison
from matrixci.reports.report import read_report
from matrixci.verdict.load import judge_folder


def compare(
    before: Annotated[str, typer.Argument(help=f"The earlier run: {RUN_NAMES}.")],
    after: Annotated[str, typer.Argument(help=f"The later run: {RUN_NAMES}.")],
    *,
    work_dir: WorkDirOption = WORK_DIR,
    form: Annotated[
        str, typer.Option("--format", help=f"terminal, {', '.join(comparison.FORMATS)}.")
    ] = "terminal",
) -> None:
    """Print the differences between two runs: results, locks, metrics."""
    (name,) = format_names([form], ["terminal", *comparison.FORMATS])
    folder = named_run(work_dir, after)
    earlier = named_baseline(work_dir, before, folder)
    report = read_report(judge_folder(folder, earlier), folder)
    if name == "terminal":
        console().print(comparison.render_terminal(report), crop=False)
    else:
        sys.stdout.write(comparison.FORMATS[name](report))
