import tempfile
from datetime import date
from pathlib import Path

import pytest
from factories import a_cell, a_check
from histories import judged_cell, of_days, opened_history, run_of, take_in
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.errors import HistoryError
from matrixci.history.series import cell_series, check_series
from matrixci.history.store import Added, History
from matrixci.model import CellOutcome, CheckOutcome

history = pytest.fixture(opened_history)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED
QUICK = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def test_a_run_is_added_once(history: History) -> None:
    run = run_of(1, judged_cell(checks=[a_check(metrics={"seconds": 1.5, "mib": 3.0})]))
    assert [history.add(run) for _ in range(3)] == [Added.NEW, Added.UNCHANGED, Added.UNCHANGED]
    assert [kept.id for kept in history.runs()] == ["run-001"]
    (series,) = check_series(history, "test_a.py::test_one")
    assert [point.metrics for point in series.points] == [{"seconds": 1.5, "mib": 3.0}]


def test_a_run_with_a_new_judgement_is_updated(history: History) -> None:
    check = a_check("test_a.py::test_gone", FAILED, metrics={"mib": 1.0})
    take_in(history, [run_of(1, judged_cell(outcome=CellOutcome.FAILED, checks=[check]))])
    again = run_of(1, judged_cell(checks=[a_check(outcome=CheckOutcome.KNOWN_ISSUE)]))
    assert history.add(again) is Added.UPDATED
    assert history.add(again) is Added.UNCHANGED
    (series,) = cell_series(history)
    assert [point.outcome for point in series.points] == [CellOutcome.PASSED]
    assert check_series(history, "test_a.py::test_gone") == ()
    assert history.connection.execute("SELECT count(*) FROM metrics").fetchone() == (0,)


def test_facts_of_a_run_are_kept(history: History) -> None:
    cells = [
        judged_cell(a_cell(python), versions={"transformers": version}, digest=version)
        for python, version in (("3.10", "5.20.2"), ("3.11", "5.23.0"), ("3.12", "5.23.0"))
    ]
    take_in(history, [run_of(1, *cells, commit="abc+dirty", as_of="2026-08-01", check_filter="x")])
    (kept,) = history.runs()
    assert kept.version == "5.20.2, 5.23.0"
    assert (kept.commit, kept.verdict) == ("abc+dirty", "READY")
    assert (kept.as_of, kept.check_filter, kept.cells) == ("2026-08-01", "x", 3)
    assert kept.began.startswith("2026-11-01T10:00:00")


def test_a_cell_point_has_the_version_of_its_own_lock(history: History) -> None:
    cells = [
        judged_cell(a_cell(python), versions={"transformers": version}, digest=version)
        for python, version in (("3.10", "5.20.2"), ("3.11", "5.23.0"))
    ]
    take_in(history, [run_of(1, *cells)])
    points = {one.cell: one.points[0].version for one in cell_series(history)}
    assert points == {"py3.10-numpy2-cpu": "5.20.2", "py3.11-numpy2-cpu": "5.23.0"}


def test_shared_locks_are_stored_once(history: History) -> None:
    versions = {"torch": "2.15.0", "numpy": "2.5.5"}
    cells = [judged_cell(a_cell(f"3.{n}"), versions=versions) for n in range(60)]
    take_in(history, [run_of(day, *cells) for day in (1, 2)])
    assert history.connection.execute("SELECT count(*) FROM packages").fetchone() == (2,)


def test_a_failed_addition_leaves_nothing(history: History, file: Path) -> None:
    broken = a_check(metrics={"mib": 1.0})
    broken.metrics["mib"] = object()  # type: ignore[assignment]
    with pytest.raises(HistoryError, match="Cannot use the history"):
        history.add(run_of(1, judged_cell(checks=[broken])))
    assert history.runs() == ()
    assert history.connection.execute("SELECT count(*) FROM cells").fetchone() == (0,)
    assert file.is_file()


def test_any_text_can_be_stored(history: History) -> None:
    name = "test_a.py::test_x['; DROP TABLE runs; --\x00\x1b[31m\n|`<script>"
    take_in(history, [run_of(1, judged_cell(checks=[a_check(name)]), commit="'\"")])
    (series,) = check_series(history, name)
    assert series.check == name


def test_prune_keeps_a_number_of_runs(history: History, file: Path) -> None:
    cells = [
        judged_cell(a_cell(f"3.{n}"), checks=[a_check(f"test_a.py::test_{i}") for i in range(60)])
        for n in range(40)
    ]
    take_in(history, [run_of(day, *cells) for day in range(1, 11)])
    take_in(history, [run_of(11, judged_cell(), subject="other")])
    history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.stat().st_size
    assert history.prune(keep=2) == tuple(f"run-{day:03}" for day in range(1, 9))
    assert [kept.id for kept in history.runs()] == ["run-009", "run-010", "run-011"]
    assert file.stat().st_size < before / 2


def test_prune_removes_runs_before_a_day(history: History) -> None:
    take_in(history, of_days("green red green"))
    assert history.prune(before=date(2026, 11, 3)) == ("run-001", "run-002")
    assert history.prune(before=date(2026, 11, 3)) == ()
    assert [kept.id for kept in history.runs()] == ["run-003"]


def test_prune_removes_unused_rows(history: History) -> None:
    check = a_check("test_a.py::test_gone", metrics={"gone": 1.0})
    take_in(history, [run_of(1, judged_cell(a_cell("3.9"), checks=[check], versions={"old": "1"}))])
    take_in(history, [run_of(2, judged_cell(checks=[a_check()], outcome=CellOutcome.BLOCKED))])
    history.prune(keep=1)
    counts = {
        table: history.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in ("cells", "checks", "locks", "packages", "metrics", "metric_names")
    }
    assert counts == {
        "cells": 1,
        "checks": 1,
        "locks": 0,
        "packages": 0,
        "metrics": 0,
        "metric_names": 0,
    }


@QUICK
@given(st.lists(st.sampled_from(["green", "red", "error"]), max_size=8), st.integers(1, 8))
def test_pruned_runs_can_be_added_again(words: list[str], keep: int) -> None:
    runs = of_days(" ".join(words))
    with (
        tempfile.TemporaryDirectory() as folder,
        History.writing(Path(folder, "h"), print) as history,
    ):
        take_in(history, runs)
        whole = cell_series(history)
        removed = history.prune(keep=keep)
        assert len(history.runs()) == min(keep, len(runs))
        for run in runs:
            assert (history.add(run) is Added.NEW) == (run.run.id in removed)
        assert [s.points for s in cell_series(history)] == [s.points for s in whole]
