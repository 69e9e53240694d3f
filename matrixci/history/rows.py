"""Conversion of a judged run to the rows that the history stores, and their digest."""

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
"""The metric that every check has. It is stored in whole milliseconds, next to the outcome."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run, as stored in the history."""

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
    """The result of a cell, as stored in the history."""

    id: str
    definition: str
    outcome: str
    reason: str | None
    lock: str | None
    versions: Mapping[str, str]
    checks: tuple[CheckResult, ...]

    @cached_property
    def lock_content(self) -> str:
        """Digest of the lock and its versions; locks with the same digest are stored once."""
        text = json.dumps([self.lock, sorted(self.versions.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def run_row(judged: JudgedRun) -> RunRow:
    """Return the row of a run."""
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
    """Yield one row for each cell of a run."""
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
    """Return a digest of the definition of a cell.

    A cell with the same id but other requirements is another cell, from another matrix or from a
    later version of this one, so its results start a new series. Everything outside the cell (known
    issues, limits, gates, other values of an axis) may change without an effect on the series.
    """
    facts = cell.model_dump(mode="json", exclude={"id"})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def moment(began: datetime, as_of: date | None) -> datetime:
    """Return the time of the package index that a run used: its `--as-of` day, or its start."""
    if as_of is None:
        return began
    return min(began, datetime.combine(as_of, time.max, UTC))


def digest_of(run: RunRow, cells: Iterable[CellResultRow]) -> str:
    """Return a digest of everything that the history stores of a run."""
    digest = hashlib.sha256(repr(run).encode())
    for cell in cells:
        facts = (cell.id, cell.definition, cell.outcome, cell.reason, cell.lock_content)
        checks = [(check.id, str(check.outcome), check.metrics) for check in cell.checks]
        digest.update(repr((facts, checks)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _text(instant: datetime) -> str:
    """Return a time in UTC, as text that sorts by time."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
