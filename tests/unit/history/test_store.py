import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.errors import DamagedHistoryError, ExitCode, HistoryError, UsageError
from matrixci.history import migrations as schema
from matrixci.history.database import _set_aside
from matrixci.history.reds import reds
from matrixci.history.series import cell_series, check_series, package_changes
from matrixci.history.store import Added, History
from matrixci.history.streaks import Flips, Red, State, flips, longest, red_before, streak, total
from matrixci.history.trend import Trend, trend_key
from matrixci.history.trends import trends
from matrixci.model import Cell, CellOutcome, CheckOutcome, CheckResult
from matrixci.verdict.judged import Blocker, JudgedCell, JudgedRun, PackageChange, Verdict

ONE = a_cell()
V1 = (Path(__file__).parents[1] / "data/history_v1.sql").read_text(encoding="utf-8")
PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED
OUTCOMES = {
    "green": CellOutcome.PASSED,
    "partial": CellOutcome.PARTIAL,
    "red": CellOutcome.FAILED,
    "blocked": CellOutcome.BLOCKED,
    "none": CellOutcome.UNSATISFIABLE,
    "error": CellOutcome.ERROR,
    "cancelled": CellOutcome.CANCELLED,
}
QUICK = settings(max_examples=100, deadline=None, derandomize=True, database=None)


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
    """Return a run a day, in which a cell comes to these; a dash is a day without it."""
    other = a_cell("3.13")
    return [
        run_of(day, judged_cell(other) if word == "-" else judged_cell(cell, OUTCOMES[word]))
        for day, word in enumerate(words.split(), start=1)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def history(file: Path, said: list[str]) -> Iterator[History]:
    with History.writing(file, said.append) as opened:
        yield opened


def take_in(history: History, runs: Sequence[JudgedRun]) -> None:
    for run in runs:
        assert history.add(run) is Added.NEW


# Adding


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
    with pytest.raises(HistoryError, match="can't be used"):
        history.add(run_of(1, judged_cell(checks=[broken])))
    assert history.runs() == ()
    assert history.connection.execute("SELECT count(*) FROM cells").fetchone() == (0,)
    assert file.is_file()


def test_any_text_can_be_stored(history: History) -> None:
    name = "test_a.py::test_x['; DROP TABLE runs; --\x00\x1b[31m\n|`<script>"
    take_in(history, [run_of(1, judged_cell(checks=[a_check(name)]), commit="'\"")])
    (series,) = check_series(history, name)
    assert series.check == name


# Since when


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("green", (State.GREEN, 1, 1, None)),
        ("red green green", (State.GREEN, 2, 2, None)),
        ("green red", (State.RED, 2, 1, 1)),
        ("green red red red", (State.RED, 2, 3, 1)),
        ("red green partial red blocked", (State.RED, 4, 2, 3)),
        ("red red", (State.RED, 1, 2, None)),
        # What the infrastructure did says nothing of the cell.
        ("green red error red cancelled", (State.RED, 2, 2, 1)),
        ("green error red", (State.RED, 3, 1, 1)),
        ("red error green", (State.GREEN, 3, 1, None)),
        # A run without the cell neither.
        ("green red - - red", (State.RED, 2, 2, 1)),
        # Where nothing can be had there is nothing red.
        ("green red none", (State.UNSATISFIABLE, 3, 1, 1)),
        ("green none red", (State.RED, 3, 1, 1)),
    ],
)
def test_streaks(
    history: History, words: str, expected: tuple[State, int, int, int | None]
) -> None:
    take_in(history, of_days(words))
    (series,) = cell_series(history, cell=ONE.id)
    found = streak(series.points)
    assert found is not None
    day = {f"run-{number:03}": number for number in range(1, 10)}
    green = day[found.last_green.run] if found.last_green else None
    assert (found.state, day[found.since.run], found.runs, green) == expected


def test_a_cell_with_only_infrastructure_failures_has_no_streak(history: History) -> None:
    take_in(history, of_days("error cancelled"))
    (series,) = cell_series(history)
    assert streak(series.points) is None
    assert streak(()) is None


def test_a_filtered_run_can_be_red_but_not_green(history: History) -> None:
    red, green = judged_cell(outcome=CellOutcome.FAILED), judged_cell()
    take_in(history, [run_of(1, green), run_of(2, red), run_of(3, green, check_filter="numpy")])
    (series,) = cell_series(history)
    found = streak(series.points)
    assert found is not None
    assert (found.state, found.since.run, found.latest.run) == (State.RED, "run-002", "run-002")

    take_in(history, [run_of(4, green), run_of(5, red, check_filter="numpy")])
    (series,) = cell_series(history)
    found = streak(series.points)
    assert found is not None
    assert (found.state, found.since.run) == (State.RED, "run-005")


def test_packages_that_changed_since_the_last_green_run(history: History) -> None:
    before = {"torch": "2.14.1", "numpy": "2.5.5", "gone": "1.0"}
    after = {"torch": "2.15.0", "numpy": "2.5.5", "come": "0.1"}
    take_in(
        history,
        [
            run_of(1, judged_cell(versions={"torch": "2.13.0"}, digest="a")),
            run_of(2, judged_cell(versions=before, digest="b")),
            run_of(3, judged_cell(outcome=CellOutcome.FAILED, versions=after, digest="c")),
            run_of(4, judged_cell(outcome=CellOutcome.FAILED, versions={"x": "1"}, digest="d")),
        ],
    )
    (series,) = cell_series(history)
    found = streak(series.points)
    assert found is not None
    assert found.last_green is not None
    assert package_changes(history, found.last_green.lock, found.since.lock) == (
        PackageChange(name="come", before=None, after="0.1"),
        PackageChange(name="gone", before="1.0", after=None),
        PackageChange(name="torch", before="2.14.1", after="2.15.0"),
    )


def test_a_run_as_of_a_day_is_sorted_by_that_day(history: History) -> None:
    # Made today, and it tells of a state of the index between the two others.
    backfill = run_of(20, judged_cell(outcome=CellOutcome.FAILED), as_of="2026-11-02")
    take_in(history, [run_of(1, judged_cell()), run_of(4, judged_cell()), backfill])
    assert [kept.id for kept in history.runs()] == ["run-001", "run-020", "run-004"]
    (series,) = cell_series(history)
    found = streak(series.points)
    assert found is not None
    assert (found.state, found.since.run) == (State.GREEN, "run-004")


# Series are of one cell of one matrix and one subject


def test_subjects_are_not_mixed(history: History) -> None:
    take_in(history, [run_of(1, judged_cell())])
    other = judged_cell(outcome=CellOutcome.FAILED)
    take_in(history, [run_of(2, other, subject="accelerate")])
    assert [(s.subject, len(s.points)) for s in cell_series(history)] == [
        ("accelerate", 1),
        ("transformers", 1),
    ]
    assert [s.subject for s in cell_series(history, subject="accelerate")] == ["accelerate"]


def test_cells_with_the_same_id_but_other_requirements_are_not_mixed(history: History) -> None:
    other = a_cell(requires=("torch<2", "numpy"))
    runs = [run_of(1, judged_cell()), run_of(2, judged_cell(other, CellOutcome.FAILED))]
    take_in(history, runs)
    series = cell_series(history, cell=ONE.id)
    assert [[p.outcome for p in each.points] for each in series] == [
        [CellOutcome.PASSED],
        [CellOutcome.FAILED],
    ]
    assert trends(history, runs[1].run) == {ONE.id: Trend(outcomes=("failed",))}


def test_a_series_continues_if_only_other_cells_change(history: History) -> None:
    runs = of_days("green red")
    changed = runs[1].run.model_copy(
        update={"matrix_digest": "11", "axes": {"python": ("3.12", "3.14")}, "known_issues": ()}
    )
    take_in(history, [runs[0], runs[1].model_copy(update={"run": changed})])
    (series,) = cell_series(history)
    assert len(series.points) == 2


# Checks


def check_days(history: History, words: str, cell: Cell = ONE, *, same_lock: bool = True) -> None:
    for day, word in enumerate(words.split(), start=1):
        check = a_check(outcome=CheckOutcome(word))
        lock = {"torch": "1" if same_lock else str(day)}
        history.add(run_of(day, judged_cell(cell, checks=[check], versions=lock)))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("passed", (1, 0, 0, 0)),
        ("passed failed passed", (3, 2, 2, 0)),
        ("passed failed crashed timed-out", (4, 1, 1, 0)),
        ("passed skipped passed missing failed", (3, 1, 1, 0)),
        ("known-issue known-issue unexpected-pass", (3, 1, 1, 0)),
        ("passed flaky passed", (3, 2, 2, 1)),
    ],
)
def test_flips_of_a_check(
    history: History, words: str, expected: tuple[int, int, int, int]
) -> None:
    check_days(history, words)
    (series,) = check_series(history, "test_a.py::test_one", cell=ONE.id)
    found = flips(series.points)
    assert (found.runs, found.flips, found.of_same_lock, found.flaky) == expected


def test_flips_with_the_same_lock_are_counted_separately(history: History) -> None:
    check_days(history, "passed failed passed", same_lock=False)
    (series,) = check_series(history, "test_a.py::test_one")
    assert flips(series.points) == Flips(runs=3, flips=2, of_same_lock=0, flaky=0)


def test_flips_are_summed_over_cells(history: History) -> None:
    cells = [a_cell("3.12"), a_cell("3.13")]
    for day, outcome in enumerate((PASSED, FAILED, PASSED), start=1):
        each = [judged_cell(cell, checks=[a_check(outcome=outcome)]) for cell in cells]
        history.add(run_of(day, *each))
    found = total(flips(series.points) for series in check_series(history, "*::test_one"))
    assert (found.runs, found.flips) == (6, 4)


def test_checks_are_found_by_id_and_by_glob(history: History) -> None:
    names = ["test_a.py::test_x[a]", "test_a.py::test_x[b]", "test_b.py::test_y"]
    take_in(history, [run_of(1, judged_cell(checks=[a_check(name) for name in names]))])
    found = {
        pattern: [series.check for series in check_series(history, pattern)]
        for pattern in (names[0], "test_a.py::*", "*[b]", "*", "nothing")
    }
    assert found == {
        names[0]: [names[0]],
        "test_a.py::*": names[:2],
        "*[b]": [names[1]],
        "*": names,
        "nothing": [],
    }


def test_series_of_metrics(history: History) -> None:
    for day, value in enumerate((5.5, None, 4.5), start=1):
        metrics = {"seconds": day / 1000} | ({"import_seconds": value} if value else {})
        history.add(run_of(day, judged_cell(checks=[a_check(metrics=metrics)])))
    (series,) = check_series(history, "test_a.py::test_one")
    assert series.metrics() == {"seconds": (0.001, 0.002, 0.003), "import_seconds": (5.5, 4.5)}


# Since when what stands against a run is red


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", None),
        ("??", None),
        ("g", Red(since=None, last_green="1")),
        ("gr", Red(since="2", last_green="1")),
        ("grr?", Red(since="2", last_green="1")),
        ("gr?r", Red(since="2", last_green="1")),
        ("rgrr", Red(since="3", last_green="2")),
        ("rr", Red(since="1", last_green=None)),
        ("rg?", Red(since=None, last_green="2")),
    ],
)
def test_red_since(words: str, expected: Red | None) -> None:
    good = {"g": True, "r": False, "?": None}
    points = [(good[word], str(day)) for day, word in enumerate(words, start=1)]
    assert red_before(points) == expected


def test_the_longest_red_period_of_several_cells_counts() -> None:
    new, old = Red(since=None, last_green="3"), Red(since="2", last_green="1")
    assert longest([new, old, Red(since="3", last_green=None)]) == old
    assert longest([new]) == new
    assert longest([]) is None


def blocked_by(judged: JudgedRun, *blockers: Blocker) -> JudgedRun:
    return judged.model_copy(update={"blockers": blockers})


def test_red_period_of_a_check(history: History) -> None:
    def day(number: int, outcome: CheckOutcome, *, other: CheckOutcome = PASSED) -> JudgedRun:
        checks = [a_check("test_a.py::test_one", outcome), a_check("test_a.py::test_two", other)]
        return run_of(number, judged_cell(ONE, CellOutcome.FAILED, checks))

    runs = [day(1, PASSED), day(2, FAILED), day(3, FAILED, other=FAILED), day(4, PASSED)]
    take_in(history, runs)
    one, two, gone = (
        Blocker(text=name, check=f"test_a.py::{name}", cells=(ONE.id, "another"))
        for name in ("test_one", "test_two", "test_gone")
    )
    # The run itself is in the history and doesn't count, and neither does a later one.
    assert reds(history, blocked_by(runs[2], one, two, gone, Blocker(text="a gate"))) == {
        "test_one": Red(since="2026-11-02", last_green="2026-11-01"),
        "test_two": Red(since=None, last_green="2026-11-02"),
    }
    assert reds(history, blocked_by(runs[0], one)) == {}


def test_red_period_of_a_cell(history: History) -> None:
    runs = of_days("green error red blocked red")
    take_in(history, runs[:-1])
    blocker = Blocker(text="it is blocked", cells=(ONE.id,))
    assert reds(history, blocked_by(runs[-1], blocker)) == {
        "it is blocked": Red(since="2026-11-03", last_green="2026-11-01")
    }
    lost = of_days("green red error")[-1]  # the machine's fault: it is not red
    assert reds(history, blocked_by(lost, blocker)) == {}


# Trends


def test_trends_contain_the_runs_up_to_the_given_run(history: History) -> None:
    def day(number: int, outcome: CheckOutcome, seconds: float, cell: Cell = ONE) -> JudgedRun:
        check = a_check(outcome=outcome, metrics={"seconds": 9.0, "import_seconds": seconds})
        word = CellOutcome.PASSED if outcome is PASSED else CellOutcome.FAILED
        return run_of(number, judged_cell(cell, word, [check]))

    runs = [day(1, PASSED, 5.0), day(2, FAILED, 5.5), day(3, PASSED, 7.0)]
    take_in(history, [*runs, day(4, FAILED, 1.0, a_cell("3.13"))])
    check = trend_key(ONE.id, "test_a.py::test_one")
    assert trends(history, runs[1].run) == {
        ONE.id: Trend(outcomes=("passed", "failed")),
        check: Trend(outcomes=("passed", "failed"), metrics={"import_seconds": (5.0, 5.5)}),
    }
    two = trends(history, runs[2].run, runs=2)[ONE.id]
    assert two.outcomes == ("failed", "passed")
    assert [(label[:10], label.rpartition(" ")[2]) for label in two.runs] == [
        (f"{judged.run.began:%Y-%m-%d}", judged.run.id) for judged in runs[1:]
    ]
    assert trends(history, runs[1].run)[check].runs == trends(history, runs[1].run)[ONE.id].runs


def test_steady_checks_can_be_left_out_of_trends(history: History) -> None:
    runs = [
        run_of(
            day,
            judged_cell(
                checks=[
                    a_check("test_a.py::steady"),
                    a_check("test_a.py::changing", outcome),
                    a_check("test_a.py::measured", metrics={"mib": 1.0}),
                ]
            ),
        )
        for day, outcome in ((1, PASSED), (2, FAILED))
    ]
    take_in(history, runs)
    every, some = (trends(history, runs[1].run, steady=steady) for steady in (True, False))
    assert set(every) - set(some) == {trend_key(ONE.id, "test_a.py::steady")}
    assert set(some) < set(every)


# Pruning


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


# The file


def test_a_file_of_version_1_is_migrated(file: Path, said: list[str]) -> None:
    with sqlite3.connect(file) as old:
        old.executescript(V1)
    old.close()
    with History.reading(file) as history:
        assert schema.version_of(history.connection) == schema.VERSION
        assert [kept.id for kept in history.runs()] == ["as-of", "plain"]
        series = cell_series(history)
        assert [(p.run, p.moment[:10], p.whole) for each in series for p in each.points] == [
            ("as-of", "2026-08-01", True),
            ("plain", "2026-11-02", True),
        ]
        found = streak(series[0].points)
        assert found is not None
        assert found.last_green is not None
        assert package_changes(history, found.last_green.lock, found.since.lock) == (
            PackageChange(name="torch", before="2.14.1", after="2.15.0"),
        )
    with History.writing(file, said.append) as history:
        take_in(history, of_days("green"))
    assert said == []


def test_a_new_file_goes_through_every_migration(history: History) -> None:
    assert schema.version_of(history.connection) == len(schema.STEPS)


def test_a_failed_migration_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(file) as old:
        old.executescript(V1)
    old.close()
    steps = (schema.STEPS[0], "ALTER TABLE runs ADD COLUMN moment TEXT;\nDROP TABLE no_such_one;\n")
    monkeypatch.setattr(schema, "STEPS", steps)
    with pytest.raises(HistoryError, match="no such table"):
        History.reading(file)
    monkeypatch.undo()
    with History.reading(file) as history:
        assert len(history.runs()) == 2


def test_a_file_of_a_newer_version_is_refused(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append) as history:
        history.connection.execute("PRAGMA user_version = 99")
    content = file.read_bytes()
    for opening in (History.reading, lambda path: History.writing(path, said.append)):
        with pytest.raises(HistoryError, match=r"version 99.*knows versions up to 3"):
            opening(file)
    assert (file.read_bytes(), said) == (content, [])


def test_another_programs_database_is_refused(file: Path, said: list[str]) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    content = file.read_bytes()
    with pytest.raises(UsageError, match="another program's database"):
        History.writing(file, said.append)
    assert file.read_bytes() == content


def broken(kind: str, content: bytes) -> bytes:
    match kind:
        case "garbage":
            return b"this is no database at all\n" * 100
        case "truncated":
            return content[: len(content) // 2 // 4096 * 4096]
        case "cut in a page":
            return content[: len(content) - 4096 - 1000]
        case "a page of zeros":
            return content[:4096] + bytes(4096) + content[8192:]
        case _:
            return content[:8192] + os.urandom(len(content) - 8192)


BROKEN = ["garbage", "truncated", "cut in a page", "a page of zeros", "noise"]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_file_is_renamed_and_replaced(file: Path, said: list[str], kind: str) -> None:
    with History.writing(file, said.append) as history:
        take_in(history, of_days("green red"))
    damaged = broken(kind, file.read_bytes())
    file.write_bytes(damaged)
    Path(f"{file}-wal").write_bytes(b"")

    with pytest.raises(DamagedHistoryError, match="is damaged") as caught:
        History.reading(file)
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    assert (file.read_bytes(), said) == (damaged, [])

    with History.writing(file, said.append) as history:
        assert history.runs() == ()
        take_in(history, of_days("green"))
    (aside,) = (p for p in file.parent.glob("*.damaged-*Z"))
    assert aside.read_bytes() == damaged
    (line,) = said
    assert str(aside) in line
    assert "is damaged" in line


def test_the_wal_of_a_damaged_file_is_renamed_too(file: Path, said: list[str]) -> None:
    file.write_bytes(b"garbage" * 1000)
    for ending in ("-wal", "-shm"):
        Path(f"{file}{ending}").write_bytes(ending.encode())
    with History.writing(file, said.append):
        pass
    (aside,) = (p for p in file.parent.glob("*.damaged-*Z"))
    assert [Path(f"{aside}{ending}").read_bytes() for ending in ("-wal", "-shm")] == [
        b"-wal",
        b"-shm",
    ]


def test_a_file_that_was_repaired_meanwhile_is_not_renamed(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    assert _set_aside(file, 1.0) is None
    assert _set_aside(file.with_name("nothing"), 1.0) is None


def test_a_locked_file_is_retried(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    release.start()
    with History.writing(file, said.append, patience=30) as history:
        take_in(history, of_days("green"))
    release.join()
    other.close()


def test_a_file_that_stays_locked_is_an_error(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        History.writing(file, said.append, patience=0.1) as history,
        pytest.raises(HistoryError, match="locked by another process"),
    ):
        history.add(of_days("green")[0])
    other.close()
    assert said == []


def test_a_missing_history_is_an_error(file: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no history .*\nTake a run in: matrixci"):
        History.reading(file)
    assert not file.exists()


def test_an_impossible_path_is_an_error(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match=r"folder .* can't be made"):
        History.writing(tmp_path / "file/history.sqlite", said.append)
    with pytest.raises(HistoryError, match="Is a directory"):
        History.writing(tmp_path, said.append)


# Other processes


CHILD = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from test_store import a_check, judged_cell, run_of
from matrixci.history.store import History
first, last = map(int, sys.argv[3:5])
for day in range(first, last):
    with History.writing(Path(sys.argv[2]), print) as history:
        history.add(run_of(day, judged_cell(checks=[a_check()])))
"""


def child(*arguments: object) -> subprocess.Popen[str]:
    folders = ":".join([*sys.path, str(Path(__file__).parent)])
    argv = [sys.executable, "-c", CHILD, folders, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("begun", ["new", "standing"])
def test_concurrent_processes_all_add_their_runs(file: Path, said: list[str], begun: str) -> None:
    if begun == "standing":
        with History.writing(file, said.append):
            pass
    children = [child(file, first, first + 6) for first in (1, 4, 10)]
    for each in children:
        output = each.communicate(timeout=120)[0]
        assert (each.returncode, output) == (0, "")
    with History.reading(file) as history:
        assert [kept.id for kept in history.runs()] == [f"run-{day:03}" for day in range(1, 16)]


def test_concurrent_processes_rename_a_damaged_file_once(file: Path) -> None:
    file.write_bytes(b"garbage" * 1000)
    children = [child(file, first, first + 3) for first in (1, 4, 7)]
    outputs = [each.communicate(timeout=120)[0] for each in children]
    assert [each.returncode for each in children] == [0, 0, 0], outputs
    assert len(list(file.parent.glob("*.damaged-*Z"))) == 1
    with History.reading(file) as history:
        assert len(history.runs()) == 9


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_file_can_be_read_but_not_written(said: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "history.sqlite")
        with History.writing(file, said.append) as history:
            take_in(history, of_days("green red"))
        Path(name).chmod(0o555)
        file.chmod(0o444)
        os.seteuid(65534)
        try:
            with History.reading(file) as history:
                assert len(history.runs()) == 2
            with pytest.raises(HistoryError, match=r"can't be written: .*\n.*--history PATH"):
                History.writing(file, said.append)
        finally:
            os.seteuid(0)
    assert said == []
