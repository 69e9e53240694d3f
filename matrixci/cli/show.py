"""The command `show`: print the table of a stored run."""

import re
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from matrixci.cli.console import WIDTH, console
from matrixci.cli.options import RUN_HELP, WORK_DIR, WorkDirOption
from matrixci.history.run_names import named_run
from matrixci.reports.report import read_report
from matrixci.reports.terminal import render
from matrixci.reports.terminal_table import render_matrix
from matrixci.util.files import write_whole
from matrixci.verdict.judge import exit_code
from matrixci.verdict.load import judge_folder


def show(
    run: Annotated[str | None, typer.Argument(help=RUN_HELP)] = None,
    *,
    work_dir: WorkDirOption = WORK_DIR,
    svg: Annotated[Path | None, typer.Option(help="Also write the table as an SVG image.")] = None,
) -> None:
    """Print the table of a stored run."""
    folder = named_run(work_dir, run)
    judged = judge_folder(folder)
    console().print(render(read_report(judged, folder)), crop=False)
    if svg is not None:
        picture = Console(record=True, file=StringIO(), width=WIDTH, force_terminal=True)
        picture.print(render_matrix(judged))
        write_whole(svg, _without_fonts(picture.export_svg(title="matrixci")))
    raise typer.Exit(exit_code(judged))


def _without_fonts(picture: str) -> str:
    """Remove the fonts that a picture would download whenever someone opens it."""
    return re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
