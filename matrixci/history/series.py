"""What the history knows: series of cells and of checks, and what changed between two locks.

A series is what one cell came to from run to run: a cell of one subject, of one id and with one
definition. A run in which the cell wasn't selected has no part in it.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from matrixci.history.database import readable_errors
from matrixci.history.rows import SECONDS
from matrixci.history.store import History
from matrixci.model import CellOutcome, CheckOutcome
from matrixci.sandbox.check_filter import selected
from matrixci.verdict.judged import PackageChange


@dataclass(frozen=True, kw_only=True)
class CellPoint:
    """What a cell came to in one run."""

    run: str
    moment: str
    version: str | None
    """of the subject, in most cells of the run"""
    outcome: CellOutcome
    reason: str | None
    whole: bool
    """All checks were asked for, not some by a filter."""
    lock: int | None


@dataclass(frozen=True, kw_only=True)
class CellSeries:
    """What one cell came to, oldest first."""

    key: int
    subject: str
    cell: str
    points: tuple[CellPoint, ...]


@dataclass(frozen=True, kw_only=True)
class CheckPoint:
    """What a check came to in one run of a cell."""

    run: str
    moment: str
    outcome: CheckOutcome
    lock: int | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CheckSeries:
    """What one check came to in one cell, oldest first."""

    subject: str
    cell: str
    check: str
    points: tuple[CheckPoint, ...]

    def metrics(self) -> dict[str, tuple[float, ...]]:
        """Return the metrics' values, oldest first; runs without one are left out."""
        names = dict.fromkeys(name for point in self.points for name in point.metrics)
        return {
            name: tuple(p.metrics[name] for p in self.points if name in p.metrics) for name in names
        }


def cell_series(
    history: History, *, subject: str | None = None, cell: str | None = None
) -> tuple[CellSeries, ...]:
    """Return the series of cells.

    Args:
        history: the history.
        subject: only those of this subject.
        cell: only the cell of this id, or those that it matches as a glob.

    Raises:
        HistoryError: the file can't be read.
    """
    query = f"""
        SELECT cells.key AS key, cells.subject, cells.id, runs.id, runs.moment,
            (SELECT version FROM packages
                WHERE packages.lock = cell_results.lock AND packages.name = cells.subject),
            outcome, reason, check_filter IS NULL, lock
        FROM cells JOIN cell_results ON cell_results.cell = cells.key
            JOIN runs ON runs.key = cell_results.run
        WHERE {_CHOSEN}
        ORDER BY cells.subject, cells.id, cells.key, runs.moment, runs.began, runs.id
    """  # noqa: S608 - our own words
    with readable_errors(history.path):
        rows = history.connection.execute(query, {"subject": subject, "cell": cell}).fetchall()
    return tuple(
        CellSeries(
            key=key,
            subject=name,
            cell=cell_id,
            points=tuple(_cell_point(row[3:]) for row in group),
        )
        for (key, name, cell_id), group in groupby(rows, key=lambda row: tuple(row[:3]))
    )


def check_series(
    history: History, check: str, *, subject: str | None = None, cell: str | None = None
) -> tuple[CheckSeries, ...]:
    """Return the series of a check in each cell that ran it.

    Args:
        history: the history.
        check: what selects checks: an id, a glob over ids, or words as pytest's -k has them.
        subject: only those of this subject.
        cell: only in the cell of this id, or those that it matches as a glob.

    Raises:
        HistoryError: the file can't be read.
    """
    with readable_errors(history.path):
        ids = [row[0] for row in history.connection.execute("SELECT id FROM checks ORDER BY id")]
        found = frozenset(selected(check, ids))
        # As a function and not as JSON: an id may hold any character, NUL among them.
        history.connection.create_function("is_chosen", 1, lambda each: each in found)
        chosen = {"subject": subject, "cell": cell}
        points = list(_check_points(history.connection, chosen))
    in_one = attrgetter("subject", "cell", "key", "check")
    return tuple(
        CheckSeries(
            subject=name,
            cell=cell_id,
            check=check_id,
            points=tuple(row.point for row in group),
        )
        for (name, cell_id, _, check_id), group in groupby(points, key=in_one)
    )


def package_changes(
    history: History, before: int | None, after: int | None
) -> tuple[PackageChange, ...]:
    """Return the packages of which two locks have different versions, by name.

    Raises:
        HistoryError: the file can't be read.
    """
    query = "SELECT name, version FROM packages WHERE lock = ?"
    with readable_errors(history.path):
        old = dict(history.connection.execute(query, (before,)))
        new = dict(history.connection.execute(query, (after,)))
    return tuple(
        PackageChange(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


# An id that holds brackets, as a parametrised check's does, is itself before it is a glob.
_CHOSEN: Final = """
    (:subject IS NULL OR cells.subject = :subject)
    AND (:cell IS NULL OR cells.id = :cell OR cells.id GLOB :cell)
"""


@dataclass(frozen=True, kw_only=True)
class _CheckRow:
    subject: str
    cell: str
    key: int
    check: str
    point: CheckPoint


def _cell_point(row: Sequence[object]) -> CellPoint:
    run, when, version, outcome, reason, whole, lock = row
    return CellPoint(
        run=str(run),
        moment=str(when),
        version=None if version is None else str(version),
        outcome=CellOutcome(str(outcome)),
        reason=None if reason is None else str(reason),
        whole=bool(whole),
        lock=lock if isinstance(lock, int) else None,
    )


def _check_points(
    connection: sqlite3.Connection, chosen: Mapping[str, str | None]
) -> Iterator[_CheckRow]:
    query = f"""
        SELECT cells.subject, cells.id, cells.key, checks.id, runs.id, runs.moment, words.word,
            cell_results.lock, milliseconds, runs.key, checks.key
        FROM checks JOIN cells
            JOIN cell_results ON cell_results.cell = cells.key
            JOIN runs ON runs.key = cell_results.run
            JOIN check_results AS results ON results.run = runs.key
                AND results.cell = cells.key AND results."check" = checks.key
            JOIN check_outcomes AS words ON words.key = results.outcome
        WHERE {_CHOSEN} AND is_chosen(checks.id)
        ORDER BY cells.subject, cells.id, cells.key, checks.id,
            runs.moment, runs.began, runs.id
    """  # noqa: S608 - our own words
    metrics = """
        SELECT metric_names.name, value
        FROM metrics JOIN metric_names ON metric_names.key = metrics.name
        WHERE run = ? AND cell = ? AND "check" = ?
    """
    for row in connection.execute(query, chosen).fetchall():
        subject, cell, key, check, run, when, word, lock, milliseconds, run_key, check_key = row
        values = {} if milliseconds is None else {SECONDS: milliseconds / 1000}
        values |= dict(connection.execute(metrics, (run_key, key, check_key)))
        point = CheckPoint(
            run=run, moment=when, outcome=CheckOutcome(word), lock=lock, metrics=values
        )
        yield _CheckRow(subject=subject, cell=cell, key=key, check=check, point=point)
