"""Print a judged run as the terminal report, for tests that compare its lines."""

import io
from datetime import date

from factories import a_cell, a_check, a_result, a_run, an_engine
from rich.console import Console

from matrixci.model import Cell, CellOutcome, CellResult, CheckOutcome, Reason, Run
from matrixci.reports.report import Report
from matrixci.reports.terminal import render
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun

FOLDER = ".matrixci/runs/20261121T100000Z-abc123"
ONE = a_cell()
NO_GPU = an_engine()
NEEDS_GPU = a_check("test_g.py::test_gpu", CheckOutcome.SKIPPED, reason="no GPU", need="gpu")


def judged(*results: CellResult, run: Run | None = None, **fields: object) -> JudgedRun:
    of = run or a_run([result.cell for result in results], **fields)
    return judge(of, {result.cell.id: result for result in results}, (), date(2026, 11, 21))


def text_of(run: JudgedRun, width: int = 120, folder: str = FOLDER) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(render(Report(judged=run, folder=folder)), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(run: JudgedRun, width: int = 120) -> list[str]:
    return [line.rstrip() for line in text_of(run, width).splitlines()]


def rows_of(run: JudgedRun, width: int = 120) -> list[str]:
    """Return the rows of the table, without the line that names the last axis."""
    return matrix_of(run, width)[1:]


def matrix_of(run: JudgedRun, width: int = 120) -> list[str]:
    """Return the lines between the first two empty lines."""
    lines = lines_of(run, width)
    begin = lines.index("") + 1
    return lines[begin : lines.index("", begin)]


def failing(cell: Cell, name: str = "test_a.py::test_one[x]", **fields: object) -> CellResult:
    outcome = CheckOutcome(str(fields.pop("outcome", "failed")))
    fields = {"claim": "It holds.", "message": "it does\nnot hold", **fields}
    check = a_check(name, outcome, **fields)
    return a_result(cell, CellOutcome.FAILED, [a_check("a::ok"), check], reason=Reason.CHECKS)
