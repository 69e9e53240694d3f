"""Queries on the history: series of cells and checks, and changes between two locks.

A series holds the outcomes of one cell over many runs. A cell is identified by its subject, its id
and its definition. Runs in which the cell was not selected are not part of the series.
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
    """The outcome of a cell in one run."""

    run: str
    moment: str
    version: str | None
    """Version of the subject in the lock of the cell."""
    outcome: CellOutcome
    reason: str | None
    whole: bool
    """Whether all checks ran, not only those that match a filter."""
    lock: int | None


@dataclass(frozen=True, kw_only=True)
class CellSeries:
    """The outcomes of one cell, oldest first."""

    key: int
    subject: str
    cell: str
    points: tuple[CellPoint, ...]


@dataclass(frozen=True, kw_only=True)
class CheckPoint:
    """The outcome of a check in one run of a cell."""

    run: str
    moment: str
    outcome: CheckOutcome
    lock: int | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CheckSeries:
    """The outcomes of one check in one cell, oldest first."""

    subject: str
    cell: str
    check: str
    points: tuple[CheckPoint, ...]

    def metrics(self) -> dict[str, tuple[float, ...]]:
        """Return the values of each metric, oldest first. Runs without a value are skipped."""
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
        subject: only cells of this subject.
        cell: only cells whose id equals this text or matches it as a glob.

    Raises:
        HistoryError: the file cannot be read.
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
    """  # noqa: S608 - constant text
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
        check: an id, a glob over ids, or an expression as for pytest's -k.
        subject: only cells of this subject.
        cell: only in the cell of this id, or those that it matches as a glob.

    Raises:
        HistoryError: the file cannot be read.
    """
    with readable_errors(history.path):
        ids = [row[0] for row in history.connection.execute("SELECT id FROM checks ORDER BY id")]
        found = frozenset(selected(check, ids))
        # A function instead of JSON, because an id may contain any character, even NUL.
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
    """Return the packages that have different versions in two locks, sorted by name.

    Raises:
        HistoryError: the file cannot be read.
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


# An id with brackets is compared as it is before it is used as a glob.
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
    """  # noqa: S608 - constant text
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
