from collections.abc import Sequence
from datetime import date

from factories import a_cell, a_check, a_result, a_run

from matrixci.model import CellOutcome, CheckOutcome, CheckResult
from matrixci.reports.grouping import CheckGroup, failures, merge_similar
from matrixci.verdict.judge import judge

BAD = CheckOutcome.FAILED
BROKEN = "expected: it can be imported\nseen: TypeError"


def grouped(*of_cells: Sequence[CheckResult]) -> list[CheckGroup]:
    cells = [a_cell(f"3.{10 + number}") for number in range(len(of_cells))]
    results = {
        cell.id: a_result(cell, CellOutcome.FAILED, checks)
        for cell, checks in zip(cells, of_cells, strict=True)
    }
    run = a_run(tuple(cells))
    return merge_similar(failures(judge(run, results, (), date(2026, 1, 1))))


def ids_of(groups: Sequence[CheckGroup]) -> list[str]:
    return [f"{group.check.id}{group.more}" for group in groups]


def test_instances_of_one_check_are_merged() -> None:
    checks = [a_check(f"a.py::x[{n}]", BAD, message=f"seen: {n}") for n in range(3)]
    assert ids_of(grouped([*checks, a_check("a.py::x[3]"), a_check("a.py::y", BAD)])) == [
        "a.py::x[0] and 2 more of its 4 instances",
        "a.py::y",
    ]


def test_checks_with_the_same_message_are_merged() -> None:
    checks = [
        a_check("a.py::x[0]", BAD, message=BROKEN),
        a_check("a.py::y", BAD, message=BROKEN),
        a_check("a.py::x[1]", BAD, message="seen: something else"),
    ]
    assert ids_of(grouped(checks)) == [
        "a.py::x[0] and 1 other check with the same message",
        "a.py::x[1]",
    ]


def test_other_cells_or_outcomes_are_not_merged() -> None:
    first = [a_check("a.py::x[0]", BAD, message=BROKEN), a_check("a.py::x[1]", BAD, message=BROKEN)]
    second = [a_check("a.py::x[0]", BAD, message=BROKEN)]
    crashed = [a_check("a.py::x[2]", CheckOutcome.CRASHED, message=BROKEN)]
    assert ids_of(grouped([*first, *crashed], second)) == ["a.py::x[0]", "a.py::x[1]", "a.py::x[2]"]


def test_checks_without_a_message_are_not_merged() -> None:
    assert ids_of(grouped([a_check("a.py::x", BAD), a_check("a.py::y", BAD)])) == [
        "a.py::x",
        "a.py::y",
    ]


def test_two_causes_are_two_groups() -> None:
    checks = [
        a_check(f"a.py::{name}", BAD, message=message)
        for message, names in ((BROKEN, "xy"), ("seen: another", "vw"))
        for name in names
    ]
    assert ids_of(grouped(checks)) == [
        "a.py::x and 1 other check with the same message",
        "a.py::v and 1 other check with the same message",
    ]
