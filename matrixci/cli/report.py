"""The command `report`: merge cells that ran on other machines, and write the report."""

from pathlib import Path
from typing import Annotated

import typer

from matrixci.cli.console import print_note
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import PLAN, NoHistoryOption, OutputOptions, ReportOptions
from matrixci.cli.readiness import write_readiness
from matrixci.cli.run_settings import refuse_empty_selection
from matrixci.fanout.merge import find_plan, merge
from matrixci.fanout.plan import read_plan
from matrixci.verdict.load import judge_folder


@with_option_groups
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with results.")],
    *,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="Plan file. Default: plan.json in a folder, or <work-dir>/plan/plan.json.",
        ),
    ] = None,
    options: ReportOptions,
    no_history: NoHistoryOption = False,
    output: OutputOptions,
) -> None:
    """Merge the cells of a plan into one run, write its report, and exit with its verdict."""
    planned = find_plan(folders, options.work_dir / PLAN) if plan is None else read_plan(plan)
    merged = merge(planned, folders, options.work_dir)
    for remark in merged.remarks:
        print_note(remark)
    if planned.run.check_filter is not None:
        refuse_empty_selection(judge_folder(merged.folder), merged.folder)
    # The verdict is that of `matrix` on one machine, so what is not verified does not count.
    write_readiness(
        merged.folder, options, output, for_release=False, add_to_history=not no_history
    )
