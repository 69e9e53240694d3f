import pytest
from factories import a_cell, a_check
from histories import ONE, judged_cell, of_days, opened_history, run_of, take_in

from matrixci.history.series import cell_series, check_series
from matrixci.history.store import History
from matrixci.history.streaks import Flips, flips, total
from matrixci.history.trend import Trend
from matrixci.history.trends import trends
from matrixci.model import Cell, CellOutcome, CheckOutcome

history = pytest.fixture(opened_history)


PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED


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
