"""The command `constraints`: print the versions of green cells."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from matrixci.cli.console import print_note
from matrixci.cli.options import WORK_DIR, RunOption, WorkDirOption
from matrixci.errors import NotGreenError, UsageError
from matrixci.history.run_names import named_run
from matrixci.reports import constraints as constraint_files
from matrixci.reports.last_green import last_green
from matrixci.util.files import write_whole
from matrixci.util.invocation import called
from matrixci.util.text import in_line, listed
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder


def constraints(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="Cell id, or a glob with --out.")],
    *,
    run: RunOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="File to write; for a glob, a folder that gets one file per cell.",
        ),
    ] = None,
    hashes: Annotated[
        bool,
        typer.Option("--hashes", help="Add hashes, for `pip install --require-hashes -r`."),
    ] = False,
    work_dir: WorkDirOption = WORK_DIR,
) -> None:
    """Print the constraints file of a green cell, for `pip install -c`."""
    folder = named_run(work_dir, run)
    judged = judge_folder(folder)
    try:
        files = constraint_files.constraints(judged, folder, cell, hashes=hashes)
    except NotGreenError as error:
        raise NotGreenError("\n".join([str(error), *_hints(work_dir, judged, cell)])) from error
    if not constraint_files.needs_several(cell, judged.run.cells):
        text = files[cell]
        if out is None:
            typer.echo(text, nl=False)
            return
        path = out / f"{cell}.txt" if out.is_dir() else out
        write_whole(path, text)
        _say(f"wrote {path}")
        return
    if out is None:
        msg = f"{cell} matches {len(files)} green cells: {listed(files)}.\nName a folder: --out DIR"
        raise UsageError(msg)
    for name, text in files.items():
        write_whole(out / f"{name}.txt", text)
        _say(f"wrote {out / name}.txt")
    if left := [each.id for each in judged.run.cells if each.id not in files]:
        _say(f"left out, not green or not matching: {listed(left)}")


def _hints(work_dir: Path, judged: JudgedRun, pattern: str) -> Iterator[str]:
    """Yield, for each cell, the command that prints the constraints of its last green run."""
    elsewhere = [] if work_dir == WORK_DIR else ["--work-dir", str(work_dir)]
    for cell in judged.run.cells:
        if fnmatchcase(cell.id, pattern) and (last := last_green(work_dir, judged, cell.id)):
            command = called("constraints", cell.id, "--run", last.id, *elsewhere)
            yield f"{cell.id} was last green on {last.began:%Y-%m-%d}: {command}"


def _say(text: str) -> None:
    print_note(in_line(text))
