import pytest
from factories import a_check
from histories import ONE, judged_cell, of_days, opened_history, run_of, take_in

from matrixci.history.reds import reds
from matrixci.history.store import History
from matrixci.history.streaks import Red, longest, red_before
from matrixci.model import CellOutcome, CheckOutcome
from matrixci.verdict.judged import Blocker, JudgedRun

history = pytest.fixture(opened_history)


PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED


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
