import pytest
from histories import ONE, judged_cell, of_days, opened_history, run_of, take_in

from matrixci.history.series import cell_series, package_changes
from matrixci.history.store import History
from matrixci.history.streaks import State, streak
from matrixci.model import CellOutcome
from matrixci.verdict.judged import PackageChange

history = pytest.fixture(opened_history)


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
    # It was made last, but used the package index of a day between the two others.
    backfill = run_of(20, judged_cell(outcome=CellOutcome.FAILED), as_of="2026-11-02")
    take_in(history, [run_of(1, judged_cell()), run_of(4, judged_cell()), backfill])
    assert [kept.id for kept in history.runs()] == ["run-001", "run-020", "run-004"]
    (series,) = cell_series(history)
    found = streak(series.points)
    assert found is not None
    assert (found.state, found.since.run) == (State.GREEN, "run-004")
