"""The trends of the cells of one run, for reports."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from matrixci.history.database import readable_errors
from matrixci.history.rows import definition_of, moment
from matrixci.history.store import History
from matrixci.history.trend import Trend, trend_key
from matrixci.model import Run

TREND_RUNS: Final = 20
"""Maximum number of runs in a trend."""


def trends(
    history: History, run: Run, *, runs: int = TREND_RUNS, steady: bool = True
) -> dict[str, Trend]:
    """Return the trends of the cells of a run and of their checks, by `trend_key`.

    Args:
        history: the history.
        run: the run. Later runs are ignored.
        runs: maximum number of runs in a trend.
        steady: whether to include checks whose outcome never changed and that have no metrics. In a
            large matrix these are most of the checks, and there is nothing to draw for them.

    Raises:
        HistoryError: the file cannot be read.
    """
    connection = history.connection
    with readable_errors(history.path):
        last = _last_runs(connection, run, runs)
        labels = _labels(connection, last)
        cells = cells_of(connection, run)
        found = _cell_trends(connection, labels, cells)
        for cell, check, trend in _check_trends(connection, labels, cells):
            if steady or trend.metrics or len(set(trend.outcomes)) > 1:
                found[trend_key(cell, check)] = trend
    return found


def _last_runs(connection: sqlite3.Connection, run: Run, count: int) -> list[int]:
    """Return the keys of the last runs of the subject up to this one, oldest first."""
    until = moment(run.began, run.as_of).isoformat(timespec="microseconds")
    query = """
        SELECT key FROM runs WHERE subject = ? AND moment <= ?
        ORDER BY moment DESC, began DESC, id DESC LIMIT ?
    """
    rows = connection.execute(query, (run.subject.name, until, count)).fetchall()
    return [key for (key,) in reversed(rows)]


def _labels(connection: sqlite3.Connection, runs: Sequence[int]) -> dict[int, str]:
    """Return a label for each run, in the order of the runs."""
    query = "SELECT id, began, as_of, subject, version FROM runs WHERE key = ?"
    labels = {}
    for key in runs:
        name, began, as_of, subject, version = connection.execute(query, (key,)).fetchone()
        of = " ".join(filter(None, (subject, version)))
        labels[key] = f"{as_of or began[:10]}, {of}, run {name}"
    return labels


def cells_of(connection: sqlite3.Connection, run: Run) -> dict[int, str]:
    """Return the ids of the cells of a run by their keys."""
    wanted = {(cell.id, definition_of(cell)) for cell in run.cells}
    query = "SELECT key, id, definition FROM cells WHERE subject = ?"
    rows = connection.execute(query, (run.subject.name,))
    return {key: cell for key, cell, definition in rows if (cell, definition) in wanted}


def _cell_trends(
    connection: sqlite3.Connection, labels: Mapping[int, str], cells: Mapping[int, str]
) -> dict[str, Trend]:
    outcomes: dict[str, list[tuple[str, str]]] = {}
    query = "SELECT cell, outcome FROM cell_results WHERE run = ?"
    for run, label in labels.items():
        for cell, outcome in connection.execute(query, (run,)):
            if cell in cells:
                outcomes.setdefault(cells[cell], []).append((outcome, label))
    return {
        cell: Trend(
            outcomes=tuple(outcome for outcome, _ in found),
            runs=tuple(label for _, label in found),
        )
        for cell, found in outcomes.items()
    }


def _check_trends(
    connection: sqlite3.Connection, labels: Mapping[int, str], cells: Mapping[int, str]
) -> Iterator[tuple[str, str, Trend]]:
    checks = dict(connection.execute("SELECT key, id FROM checks"))
    words = dict(connection.execute("SELECT key, word FROM check_outcomes"))
    names = dict(connection.execute("SELECT key, name FROM metric_names"))
    outcomes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    values: dict[tuple[int, int], dict[str, list[float]]] = {}
    for run in labels:
        query = 'SELECT cell, "check", outcome FROM check_results WHERE run = ?'
        for cell, check, outcome in connection.execute(query, (run,)):
            if cell in cells:
                outcomes.setdefault((cell, check), []).append((outcome, run))
        query = 'SELECT cell, "check", name, value FROM metrics WHERE run = ?'
        for cell, check, name, value in connection.execute(query, (run,)):
            if cell in cells:
                metrics = values.setdefault((cell, check), {})
                metrics.setdefault(names[name], []).append(value)
    plain: dict[
        tuple[tuple[int, int], ...], Trend
    ] = {}  # most checks have the same outcomes, so they share one object
    for (cell, check), found in outcomes.items():
        outcomes_and_runs = tuple(found)
        trend = plain.get(outcomes_and_runs)
        if trend is None:
            trend = plain[outcomes_and_runs] = Trend(
                outcomes=tuple(words[number] for number, _ in found),
                runs=tuple(labels[run] for _, run in found),
            )
        if metrics := values.get((cell, check), {}):
            of_check = {name: tuple(series) for name, series in metrics.items()}
            trend = replace(trend, metrics=of_check)
        yield cells[cell], checks[check], trend
