import pytest
from factories import a_cell, a_check
from histories import ONE, judged_cell, opened_history, run_of, take_in

from matrixci.history.store import History
from matrixci.history.trend import Trend, trend_key
from matrixci.history.trends import trends
from matrixci.model import Cell, CellOutcome, CheckOutcome
from matrixci.verdict.judged import JudgedRun

history = pytest.fixture(opened_history)


PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED


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
