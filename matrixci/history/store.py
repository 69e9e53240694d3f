"""The history of runs: adding, listing and removing runs."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from matrixci.history.database import (
    LOCK_TIMEOUT,
    open_for_reading,
    open_for_writing,
    readable_errors,
)
from matrixci.history.rows import SECONDS, CellResultRow, RunRow, cell_rows, digest_of, run_row
from matrixci.verdict.judged import JudgedRun


class Added(StrEnum):
    """The effect of adding a run."""

    NEW = "added"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    """The run was there already, with another judgement."""


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A run in the history."""

    id: str
    began: str
    subject: str
    version: str | None
    commit: str | None
    verdict: str
    as_of: str | None
    check_filter: str | None
    cells: int


class History:
    """An open history. Use it as a context manager to close it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    @classmethod
    def writing(cls, path: Path, say: Callable[[str], None], timeout: float = LOCK_TIMEOUT) -> Self:
        """Open a history for writing, and create it if needed.

        Raises:
            HistoryError: the file cannot be created or written, stays locked, or is newer.
            UsageError: the file is another program's database.
        """
        return cls(open_for_writing(path, say, timeout), path)

    @classmethod
    def reading(cls, path: Path, timeout: float = LOCK_TIMEOUT) -> Self:
        """Open an existing history for reading.

        Raises:
            UsageError: there is no such file, or it is another program's database.
            HistoryError: the file cannot be read.
        """
        return cls(open_for_reading(path, timeout), path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    def add(self, judged: JudgedRun) -> Added:
        """Add a run, completely or not at all. A run that is there already is updated.

        Raises:
            HistoryError: the file cannot be written, or stays locked.
        """
        run, cells = run_row(judged), list(cell_rows(judged))
        digest = digest_of(run, cells)
        with self._writing():
            kept = self._one("SELECT key, digest FROM runs WHERE id = ?", run.id)
            if kept is not None and kept[1] == digest:
                return Added.UNCHANGED
            if kept is not None:
                self._remove([kept[0]])
            _insert(self.connection, run, cells, digest)
            if kept is not None:
                self._remove_unused()
        return Added.UPDATED if kept is not None else Added.NEW

    def runs(self) -> tuple[KeptRun, ...]:
        """Return all runs, oldest first.

        Raises:
            HistoryError: the file cannot be read.
        """
        query = """
            SELECT id, began, subject, version, "commit", verdict, as_of, check_filter,
                (SELECT count(*) FROM cell_results WHERE run = runs.key)
            FROM runs ORDER BY moment, began, id
        """
        names = ("id", "began", "subject", "version", "commit", "verdict", "as_of", "check_filter")
        with readable_errors(self.path):
            rows = self.connection.execute(query).fetchall()
        return tuple(KeptRun(**dict(zip((*names, "cells"), row, strict=True))) for row in rows)

    def prune(self, *, keep: int | None = None, before: date | None = None) -> tuple[str, ...]:
        """Remove old runs and shrink the file; return the ids of the removed runs.

        Args:
            keep: number of newest runs of each subject to keep; None: all.
            before: remove runs that began before this day (UTC).

        Raises:
            HistoryError: the file cannot be written, or stays locked.
        """
        with self._writing():
            old = dict(self._old(keep, before))
            self._remove(list(old))
            self._remove_unused()
        with readable_errors(self.path):
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return tuple(old.values())

    def _old(self, keep: int | None, before: date | None) -> Iterator[tuple[int, str]]:
        query = """
            SELECT key, id, began,
                row_number() OVER (
                    PARTITION BY subject ORDER BY moment DESC, began DESC, id DESC
                )
            FROM runs ORDER BY moment, began, id
        """
        for key, run_id, began, place in self.connection.execute(query).fetchall():
            if (keep is not None and place > keep) or (before and began < before.isoformat()):
                yield key, run_id

    def _remove(self, runs: Sequence[int]) -> None:
        for table in ("metrics", "check_results", "cell_results"):
            statement = f"DELETE FROM {table} WHERE run = ?"  # noqa: S608 - constant text
            self.connection.executemany(statement, [(run,) for run in runs])
        self.connection.executemany("DELETE FROM runs WHERE key = ?", [(run,) for run in runs])

    def _remove_unused(self) -> None:
        """Remove rows that no run refers to."""
        for name, used in (
            ("packages", "lock IN (SELECT lock FROM cell_results WHERE lock IS NOT NULL)"),
            ("locks", "key IN (SELECT lock FROM cell_results WHERE lock IS NOT NULL)"),
            ("cells", "key IN (SELECT cell FROM cell_results)"),
            ("checks", 'key IN (SELECT "check" FROM check_results)'),
            ("metric_names", "key IN (SELECT name FROM metrics)"),
        ):
            self.connection.execute(f"DELETE FROM {name} WHERE NOT ({used})")  # noqa: S608

    def _one(self, query: str, *values: object) -> tuple[int, str] | None:
        row: tuple[int, str] | None = self.connection.execute(query, values).fetchone()
        return row

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Return a context manager for a transaction."""
        with readable_errors(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")


def _insert(
    connection: sqlite3.Connection, run: RunRow, cells: Sequence[CellResultRow], digest: str
) -> None:
    values = (run.id, run.began, run.moment, run.subject, run.version, run.commit, run.verdict)
    key = connection.execute(
        'INSERT INTO runs (id, began, moment, subject, version, "commit", verdict, as_of, '
        "check_filter, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, run.as_of, run.check_filter, digest),
    ).lastrowid
    cell_keys = _cell_keys(connection, run.subject, cells)
    locks = _lock_keys(connection, cells)
    connection.executemany(
        "INSERT INTO cell_results (run, cell, outcome, reason, lock) VALUES (?, ?, ?, ?, ?)",
        (
            (key, cell_keys[cell.id], cell.outcome, cell.reason, locks.get(cell.lock_content))
            for cell in cells
        ),
    )
    results = [result for cell in cells for result in cell.checks]
    checks = _keys(connection, "checks", "id", (result.id for result in results))
    outcomes = _keys(connection, "check_outcomes", "word", (str(r.outcome) for r in results))
    # Sorted by key, so that each row is appended to the end of the table.
    places = sorted(((cell_keys[c.id], c.checks) for c in cells), key=itemgetter(0))
    connection.executemany(
        'INSERT INTO check_results (run, cell, "check", outcome, milliseconds) '
        "VALUES (?, ?, ?, ?, ?)",
        (
            (key, cell, checks[r.id], outcomes[r.outcome], _milliseconds(r.metrics))
            for cell, results in places
            for r in results
        ),
    )
    metrics = [
        (key, cell, checks[r.id], name, value)
        for cell, results in places
        for r in results
        for name, value in r.metrics.items()
        if name != SECONDS
    ]
    names = _keys(connection, "metric_names", "name", (name for *_, name, _ in metrics))
    connection.executemany(
        'INSERT INTO metrics (run, cell, "check", name, value) VALUES (?, ?, ?, ?, ?)',
        ((run, cell, check, names[name], value) for run, cell, check, name, value in metrics),
    )


def _milliseconds(metrics: dict[str, float]) -> int | None:
    seconds = metrics.get(SECONDS)
    return None if seconds is None else round(seconds * 1000)


def _keys(
    connection: sqlite3.Connection, table: str, column: str, names: Iterable[str]
) -> dict[str, int]:
    """Return the keys of names, inserting new names."""
    wanted = dict.fromkeys(names)
    connection.executemany(
        f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)",  # noqa: S608 - constant text
        ((name,) for name in wanted),
    )
    query = f"SELECT {column}, key FROM {table}"  # noqa: S608 - constant text
    return {name: key for name, key in connection.execute(query) if name in wanted}


def _cell_keys(
    connection: sqlite3.Connection, subject: str, cells: Sequence[CellResultRow]
) -> dict[str, int]:
    wanted = {(cell.id, cell.definition) for cell in cells}
    connection.executemany(
        "INSERT OR IGNORE INTO cells (subject, id, definition) VALUES (?, ?, ?)",
        ((subject, *name) for name in sorted(wanted)),
    )
    query = "SELECT id, definition, key FROM cells WHERE subject = ?"
    rows = connection.execute(query, (subject,))
    return {cell: key for cell, definition, key in rows if (cell, definition) in wanted}


def _lock_keys(connection: sqlite3.Connection, cells: Sequence[CellResultRow]) -> dict[str, int]:
    """Return the keys of locks by their content, inserting new locks and their packages."""
    keys: dict[str, int] = {}
    for content, cell in {c.lock_content: c for c in cells if c.lock is not None}.items():
        kept = connection.execute("SELECT key FROM locks WHERE content = ?", (content,)).fetchone()
        if kept is None:
            insert = "INSERT INTO locks (digest, content) VALUES (?, ?)"
            kept = (connection.execute(insert, (cell.lock, content)).lastrowid,)
            connection.executemany(
                "INSERT INTO packages (lock, name, version) VALUES (?, ?, ?)",
                ((kept[0], name, version) for name, version in cell.versions.items()),
            )
        keys[content] = kept[0]
    return keys
