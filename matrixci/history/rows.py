"""What a judged run comes to in the history: rows of plain values, and a digest of them all."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Final

from matrixci.model import Cell, CheckResult
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.versions import versions_of

SECONDS: Final = "seconds"
"""The metric that every check has; it is kept beside the outcome, in whole milliseconds."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run as the history keeps it."""

    id: str
    began: str
    moment: str
    subject: str
    version: str | None
    commit: str | None
    verdict: str
    as_of: str | None
    check_filter: str | None


@dataclass(frozen=True, kw_only=True)
class CellResultRow:
    """A cell's result as the history keeps it."""

    id: str
    definition: str
    outcome: str
    reason: str | None
    lock: str | None
    versions: Mapping[str, str]
    checks: tuple[CheckResult, ...]

    @cached_property
    def lock_content(self) -> str:
        """A digest of the lock and its versions: equal ones are kept once."""
        text = json.dumps([self.lock, sorted(self.versions.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def run_row(judged: JudgedRun) -> RunRow:
    """Return a run's own row."""
    run = judged.run
    return RunRow(
        id=run.id,
        began=_text(run.began),
        moment=_text(moment(run.began, run.as_of)),
        subject=run.subject.name,
        version=versions_of(judged, run.subject.name),
        commit=run.commit,
        verdict=str(judged.verdict),
        as_of=run.as_of.isoformat() if run.as_of else None,
        check_filter=run.check_filter,
    )


def cell_rows(judged: JudgedRun) -> Iterator[CellResultRow]:
    """Return the rows of a run's cells, once each."""
    for cell in {each.cell.id: each for each in judged.cells}.values():
        lock = cell.result.lock if cell.result else None
        yield CellResultRow(
            id=cell.cell.id,
            definition=definition_of(cell.cell),
            outcome=str(cell.outcome),
            reason=str(cell.reason) if cell.reason else None,
            lock=lock.digest if lock else None,
            versions=lock.versions if lock else {},
            checks=tuple({check.id: check for check in cell.checks}.values()),
        )


def definition_of(cell: Cell) -> str:
    """Return a digest of what makes a cell what it is.

    A cell of the same id with other requirements is another cell, of another matrix or of this one
    after a change: what it comes to continues no earlier series. What surrounds the cells (known
    issues, limits, gates, other values of an axis) may change freely.
    """
    facts = cell.model_dump(mode="json", exclude={"id"})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def moment(began: datetime, as_of: date | None) -> datetime:
    """Return which state of the index a run tells of: the day it is as of, or when it began."""
    if as_of is None:
        return began
    return min(began, datetime.combine(as_of, time.max, UTC))


def digest_of(run: RunRow, cells: Iterable[CellResultRow]) -> str:
    """Return a digest of all that the history keeps of a run."""
    digest = hashlib.sha256(repr(run).encode())
    for cell in cells:
        facts = (cell.id, cell.definition, cell.outcome, cell.reason, cell.lock_content)
        checks = [(check.id, str(check.outcome), check.metrics) for check in cell.checks]
        digest.update(repr((facts, checks)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _text(instant: datetime) -> str:
    """Return an instant in UTC, in a form that sorts by time."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
