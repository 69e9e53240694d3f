"""Judged runs for tests of the history."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factories import a_cell, a_lock, a_result, a_run

from matrixci.history.store import Added, History
from matrixci.model import Cell, CellOutcome, CheckResult
from matrixci.verdict.judged import JudgedCell, JudgedRun, Verdict

ONE = a_cell()
OUTCOMES = {
    "green": CellOutcome.PASSED,
    "partial": CellOutcome.PARTIAL,
    "red": CellOutcome.FAILED,
    "blocked": CellOutcome.BLOCKED,
    "none": CellOutcome.UNSATISFIABLE,
    "error": CellOutcome.ERROR,
    "cancelled": CellOutcome.CANCELLED,
}


def judged_cell(
    cell: Cell = ONE,
    outcome: CellOutcome = CellOutcome.PASSED,
    checks: Sequence[CheckResult] = (),
    versions: Mapping[str, str] | None = None,
    digest: str = "0" * 64,
) -> JudgedCell:
    lock = a_lock(dict(versions), digest=digest) if versions else None
    result = a_result(cell, outcome, checks=(), lock=lock)
    return JudgedCell(
        cell=cell, outcome=outcome, reason=None, message="", checks=tuple(checks), result=result
    )


def run_of(
    day: int, *cells: JudgedCell, subject: str = "transformers", **fields: object
) -> JudgedRun:
    began = datetime(2026, 11, 1, 10, tzinfo=UTC) + timedelta(days=day - 1)
    about = {"name": subject, "spec": subject, "requirement": subject}
    name = f"run-{day:03}"
    return JudgedRun(
        run=a_run(
            [each.cell for each in cells],
            **{"id": name, "began": began, "subject": about, **fields},
        ),
        cells=cells,
        verdict=Verdict.READY,
        reasons=(),
        remarks=(),
    )


def of_days(words: str, cell: Cell = ONE) -> list[JudgedRun]:
    """Return one run per day with these outcomes of a cell; a dash means a run without it."""
    other = a_cell("3.13")
    return [
        run_of(day, judged_cell(other) if word == "-" else judged_cell(cell, OUTCOMES[word]))
        for day, word in enumerate(words.split(), start=1)
    ]


def take_in(history: History, runs: Sequence[JudgedRun]) -> None:
    for run in runs:
        assert history.add(run) is Added.NEW


def opened_history(tmp_path: Path) -> Iterator[History]:
    """Yield an open history in a new file, as a fixture of the tests."""
    with History.writing(tmp_path / "history.sqlite", print) as opened:
        yield opened
