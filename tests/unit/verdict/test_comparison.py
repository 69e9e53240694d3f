"""The difference of two runs, as a table of pairs."""

from datetime import date

import pytest
from factories import a_check, a_lock, a_result, a_run, cells

from matrixci.model import (
    Attestation,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Reason,
)
from matrixci.verdict.comparison import compare
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import CellChange, Change, JudgedRun

CELL, OTHER = cells(("3.12", "3.13"))
ID = "test_a.py::test_one"
REASONS: dict[CellOutcome, Reason | None] = {
    CellOutcome.UNSATISFIABLE: Reason.RESOLVER,
    CellOutcome.BLOCKED: Reason.BUILD,
    CellOutcome.ERROR: Reason.ENGINE,
    CellOutcome.CANCELLED: Reason.INTERRUPTED,
    CellOutcome.MISSING: None,
}


def judged(*results: CellResult, **fields: object) -> JudgedRun:
    run = a_run([result.cell for result in results], **fields)
    return judge(run, {one.cell.id: one for one in results}, (), date(2026, 11, 21))


def of_outcome(outcome: CellOutcome) -> CellResult:
    match outcome:
        case CellOutcome.PASSED:
            return a_result(CELL)
        case CellOutcome.PARTIAL:
            skipped = a_check("g", CheckOutcome.SKIPPED, need="gpu")
            return a_result(CELL, outcome, [a_check(), skipped])
        case CellOutcome.FAILED:
            return a_result(CELL, outcome, [a_check(outcome=CheckOutcome.FAILED)])
        case _:
            return a_result(CELL, outcome, reason=REASONS[outcome])


def change(before: CellResult, after: CellResult) -> CellChange | None:
    return compare(judged(before), judged(after)).cell(CELL.id)


P, Q, F, U, B, E, X, M = CellOutcome
CELLS = {
    (P, P): None,
    (P, Q): Change.OTHER,
    (P, F): Change.REGRESSED,
    (P, U): Change.NEWLY_UNSATISFIABLE,
    (P, B): Change.REGRESSED,
    (P, E): Change.OTHER,
    (P, X): Change.OTHER,
    (P, M): Change.OTHER,
    (M, F): Change.OTHER,
    (Q, F): Change.REGRESSED,
    (F, P): Change.FIXED,
    (F, U): Change.NEWLY_UNSATISFIABLE,
    (F, B): Change.OTHER,
    (B, Q): Change.FIXED,
    (U, P): Change.NEWLY_SATISFIABLE,
    (U, F): Change.NEWLY_SATISFIABLE,
    (U, U): None,
    (E, P): Change.OTHER,
    (E, U): Change.OTHER,
}


@pytest.mark.parametrize(("pair", "expected"), CELLS.items())
def test_change_of_a_cell(pair: tuple[CellOutcome, CellOutcome], expected: Change | None) -> None:
    found = change(*map(of_outcome, pair))
    assert (found.change if found else None) is expected


@pytest.mark.parametrize("outcome", CellOutcome)
def test_a_run_does_not_differ_from_itself(outcome: CellOutcome) -> None:
    run = judged(of_outcome(outcome))
    assert compare(run, run).cells == ()


p, f, c, t, k, x, y, s, m = CheckOutcome
CHECKS = {
    (p, f): Change.REGRESSED,
    (p, c): Change.REGRESSED,
    (p, t): Change.REGRESSED,
    (p, y): Change.REGRESSED,
    (p, m): Change.REGRESSED,
    (x, f): Change.REGRESSED,
    (f, p): Change.FIXED,
    (y, p): Change.FIXED,
    (k, x): Change.FIXED,
    (f, c): Change.OTHER,
    (p, s): Change.OTHER,
    (p, k): Change.OTHER,
    (k, f): Change.OTHER,
    (s, f): Change.OTHER,
    (p, x): None,
    (x, p): None,
}


@pytest.mark.parametrize(("pair", "expected"), CHECKS.items())
def test_change_of_a_check(
    pair: tuple[CheckOutcome, CheckOutcome], expected: Change | None
) -> None:
    results = [a_result(CELL, checks=[a_check(outcome=one), a_check("z")]) for one in pair]
    found = change(*results)
    checks = found.checks if found else ()
    assert [(one.check, one.change) for one in checks] == ([(ID, expected)] if expected else [])


def test_checks_appear_and_disappear_if_both_cells_ran() -> None:
    found = change(a_result(CELL, checks=[a_check("a")]), a_result(CELL, checks=[a_check("b")]))
    assert found
    assert found.change is None
    assert {(one.check, one.change, one.before, one.after) for one in found.checks} == {
        ("a", Change.DISAPPEARED, p, None),
        ("b", Change.APPEARED, None, p),
    }
    gone = change(a_result(CELL), of_outcome(CellOutcome.UNSATISFIABLE))
    assert gone
    assert gone.checks == ()


def test_a_check_filter_makes_no_check_appear_or_disappear() -> None:
    some, other = a_result(CELL, checks=[a_check("a")]), a_result(CELL, checks=[a_check("b")])
    after = compare(judged(some), judged(other, check_filter="b")).cell(CELL.id)
    assert after
    assert [one.change for one in after.checks] == [Change.APPEARED]
    before = compare(judged(some, check_filter="a"), judged(other)).cell(CELL.id)
    assert before
    assert [one.change for one in before.checks] == [Change.DISAPPEARED]


def test_unselected_cells_neither_appear_nor_disappear() -> None:
    one, two = judged(a_result(CELL)), judged(a_result(OTHER))
    assert [(cell.cell, cell.change) for cell in compare(one, two).cells] == [
        (OTHER.id, Change.APPEARED),
        (CELL.id, Change.DISAPPEARED),
    ]
    appeared, disappeared = compare(one, two).cells
    assert (appeared.before, appeared.after) == (None, P)
    assert [(check.before, check.after) for check in appeared.checks] == [(None, p)]
    assert (disappeared.before, disappeared.after) == (P, None)
    assert [(check.before, check.after) for check in disappeared.checks] == [(p, None)]
    assert {check.check for cell in (appeared, disappeared) for check in cell.checks} == {ID}
    left_out = judged(a_result(OTHER), unselected=(CELL.id,))
    assert [cell.change for cell in compare(one, left_out).cells] == [Change.APPEARED]
    assert compare(one, left_out).not_compared == (CELL.id,)


def test_packages_python_and_metrics_are_compared() -> None:
    def result(versions: dict[str, str], python: str, checks: list[CheckResult]) -> CellResult:
        attestation = Attestation(
            python=python, machine="m", distributions={}, modules={}, torch_cuda=None, gpus=0
        )
        return a_result(CELL, checks=checks, lock=a_lock(versions), attestation=attestation)

    metrics = [
        {"import_seconds": 5.0, "seconds": 10.0, "modules": 100.0, "gone": 1.0, "zero": 0.0},
        {"import_seconds": 8.0, "seconds": 40.0, "modules": 149.0, "new": 1.0, "zero": 3.0},
    ]
    found = change(
        result({"a": "1", "b": "1", "c": "1"}, "3.12.3", [a_check("x", metrics=metrics[0])]),
        result({"a": "1", "b": "2", "d": "1"}, "3.12.4", [a_check("x", metrics=metrics[1])]),
    )
    assert found
    assert found.change is None
    assert [(one.name, one.before, one.after) for one in found.packages] == [
        ("b", "1", "2"),
        ("c", "1", None),
        ("d", None, "1"),
    ]
    assert found.python == ("3.12.3", "3.12.4")
    assert found.metrics == {"x: import_seconds": (5.0, 8.0), "x: zero": (0.0, 3.0)}


def metric_changes(name: str, before: float, after: float) -> dict[str, tuple[float, float]]:
    found = change(*(a_result(CELL, checks=[a_check(metrics={name: v})]) for v in (before, after)))
    return found.metrics if found else {}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("fit_seconds", 0.00845305, 0.196206),
        ("fit_seconds", 0.196206, 0.00845305),
        ("fit_milliseconds", 8.0, 196.0),
        ("wall_s", 0.01, 0.1),
        ("memory_bytes", 100.0, 150.0),
        ("memory_bytes", 150.0, 100.0),
        ("loss", -1.0, 1.0),
    ],
)
def test_a_notable_change_of_a_metric_is_reported(name: str, before: float, after: float) -> None:
    assert metric_changes(name, before, after) == {f"{ID}: {name}": (before, after)}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("fit_seconds", 1.0, 1.49),
        ("fit_seconds", 0.002, 0.012),  # six times, and yet noise
        ("fit_milliseconds", 8.0, 30.0),
        ("memory_bytes", 100.0, 149.0),
        ("error", 1e-9, 1e-7),
        ("zero", 0.0, 0.0),
        ("seconds", 1.0, 60.0),  # the duration of the check itself
    ],
)
def test_noise_in_a_metric_is_not_reported(name: str, before: float, after: float) -> None:
    assert metric_changes(name, before, after) == {}


def test_a_comparison_describes_its_baseline() -> None:
    before = judged(a_result(CELL), commit="abc")
    comparison = compare(before, judged(a_result(CELL)))
    assert comparison.before == before.run.id
    assert comparison.before_subject == "transformers 5.23.0"
    assert comparison.before_commit == "abc"
    assert comparison.before_verdict == "READY"
