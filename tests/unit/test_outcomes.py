import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import matrixci
from matrixci import outcomes
from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Need, Reason, Severity
from matrixci.outcomes import Problem, cell_outcome, cell_traits, check_traits

PACKAGE = Path(matrixci.__file__).parent
ENUMS = {CheckOutcome.__name__, CellOutcome.__name__}
# The harness runs in the container, without the package.
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != Path(outcomes.__file__) and "harness" not in path.relative_to(PACKAGE).parts
]


def is_member(node: ast.expr | None) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ENUMS
    )


def members_in(node: ast.AST) -> int:
    """Count the outcomes that an expression lists, in a literal, as arguments or by and/or."""
    match node:
        case ast.Set(elts=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            return sum(map(is_member, parts))
        case ast.Dict(keys=parts):
            return sum(map(is_member, parts))
        case ast.Call(args=parts):
            return sum(map(is_member, parts))
        case ast.BoolOp(values=parts):
            compared = [each for each in parts if isinstance(each, ast.Compare)]
            return sum(any(map(is_member, (c.left, *c.comparators))) for c in compared)
        case ast.BinOp(left=left, right=right):
            operands = [
                each.slice if isinstance(each, ast.Subscript) else each for each in (left, right)
            ]
            return sum(map(is_member, operands))
        case _:
            return 0


def lists_of_outcomes(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.expr) and members_in(node) > 1:
            yield node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_table_lists_outcomes(path: Path) -> None:
    lines = list(lists_of_outcomes(path.read_text(encoding="utf-8")))
    assert not lines, f"{path}, lines {lines}: use a set of matrixci.outcomes, or add one there"


@pytest.mark.parametrize(
    "source",
    [
        "x = {CheckOutcome.PASSED, CheckOutcome.UNEXPECTED_PASS}",
        "x = (CellOutcome.PASSED, 1, CellOutcome.FAILED)",
        "x = frozenset([CellOutcome.PASSED, CellOutcome.FAILED])",
        "x = {CellOutcome.PASSED: 'a', CellOutcome.FAILED: 'b'}",
        "x = y in (CellOutcome.PASSED, CellOutcome.FAILED)",
        "x = y is CheckOutcome.PASSED or y is CheckOutcome.UNEXPECTED_PASS",
        "x = y is not CheckOutcome.PASSED and z and y != CheckOutcome.UNEXPECTED_PASS",
        "x = count(CheckOutcome.PASSED, CheckOutcome.UNEXPECTED_PASS)",
        "x = count[CheckOutcome.PASSED] + count[CheckOutcome.UNEXPECTED_PASS]",
        "x: Literal[CheckOutcome.PASSED, CheckOutcome.UNEXPECTED_PASS]",
    ],
)
def test_a_list_of_outcomes_is_found(source: str) -> None:
    assert set(lists_of_outcomes(source)) == {1}


@pytest.mark.parametrize(
    "source",
    [
        "x = y is CheckOutcome.PASSED",
        "x = CellOutcome.CANCELLED if y else CellOutcome.MISSING",
        "x = y in FAILING or y is CheckOutcome.SKIPPED",
        "match y:\n  case CheckOutcome.PASSED | CheckOutcome.UNEXPECTED_PASS: pass",
        "x = {Color.RED, Color.BLUE}",
    ],
)
def test_a_single_outcome_and_a_match_are_allowed(source: str) -> None:
    assert not list(lists_of_outcomes(source))


@pytest.mark.parametrize("outcome", CheckOutcome)
def test_a_check_never_both_passes_and_fails(outcome: CheckOutcome) -> None:
    traits = check_traits(outcome)
    assert not (traits.passing and traits.failing)
    assert traits.executed or not traits.passing


@pytest.mark.parametrize("outcome", CellOutcome)
def test_a_cell_is_green_or_red_only_if_its_outcome_is_conclusive(outcome: CellOutcome) -> None:
    traits = cell_traits(outcome)
    assert not (traits.green and traits.red)
    assert traits.conclusive or not (traits.green or traits.red)
    assert not (traits.conclusive and traits.infrastructure)


def test_the_sets_are_those_that_the_code_relied_on() -> None:
    assert {str(each) for each in outcomes.PASSING} == {"passed", CheckOutcome.UNEXPECTED_PASS}
    assert {str(each) for each in outcomes.EXECUTED} == set(CheckOutcome) - {"skipped", "missing"}
    assert {str(each) for each in outcomes.REPORTABLE} == set(CheckOutcome) - {
        CheckOutcome.UNEXPECTED_PASS,
        "flaky",
        "missing",
    }
    assert {str(each) for each in outcomes.GREEN} == {"passed", "partial"}
    assert {str(each) for each in outcomes.RED} == {"failed", "blocked"}
    assert {str(each) for each in outcomes.FROM_CHECKS} == {"passed", "partial", "failed"}
    assert {str(each) for each in outcomes.INFRASTRUCTURE} == {"error", "missing"}
    inconclusive = {"error", "missing", "cancelled"}
    assert {str(each) for each in outcomes.CONCLUSIVE} == set(CellOutcome) - inconclusive


@pytest.mark.parametrize(
    ("found", "outcome", "reason", "says"),
    [
        (["passed", "passed"], CellOutcome.PASSED, None, ""),
        (["passed", "known-issue", "unexpected-pass"], CellOutcome.PASSED, None, ""),
        (["known-issue"], CellOutcome.PASSED, None, ""),
        (["passed", "skipped"], CellOutcome.PASSED, None, ""),
        (
            ["passed", "gpu", "gpu"],
            CellOutcome.PARTIAL,
            Reason.MISSING_HARDWARE,
            "2 need a GPU, of 3 checks",
        ),
        (["gpu"], CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, "1 need a GPU, of 1 checks"),
        (["passed", "failed"], CellOutcome.FAILED, Reason.CHECKS, "1 failed of 2: 1"),
        (["crashed", "passed"], CellOutcome.FAILED, Reason.CHECKS, "1 crashed of 2: 0"),
        (["timed-out"], CellOutcome.FAILED, Reason.CHECKS, "1 timed-out of 1: 0"),
        (["missing", "gpu"], CellOutcome.FAILED, Reason.CHECKS, "1 missing of 2: 0"),
        (["flaky", "passed"], CellOutcome.FAILED, Reason.CHECKS, "1 flaky of 2: 0"),
        (["failed", "missing", "failed"], CellOutcome.FAILED, Reason.CHECKS, "2 failed, 1 missing"),
        (
            ["failed"] * 7,
            CellOutcome.FAILED,
            Reason.CHECKS,
            "7 failed of 7: 0, 1, 2, 3, 4 and 2",
        ),
        (["skipped", "skipped"], CellOutcome.FAILED, Reason.NO_CHECKS, "All 2 checks were skipped"),
        ([], CellOutcome.FAILED, Reason.NO_CHECKS, "No check was collected"),
    ],
)
def test_cell_outcome(
    found: list[str], outcome: CellOutcome, reason: Reason | None, says: str
) -> None:
    checks = [
        CheckResult(
            id=str(number),
            claim="",
            outcome=CheckOutcome.SKIPPED if word == "gpu" else CheckOutcome(word),
            need=Need.GPU if word == "gpu" else None,
        )
        for number, word in enumerate(found)
    ]

    verdict = cell_outcome(checks, None)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert says in verdict.message


@pytest.mark.parametrize("outcome", ["failed", "crashed", "timed-out", "flaky"])
def test_failed_check_that_only_warns_is_named_in_a_green_cell(outcome: str) -> None:
    warned = CheckResult(id="a", claim="", outcome=CheckOutcome(outcome), severity=Severity.WARNING)
    passed = CheckResult(id="b", claim="", outcome=CheckOutcome.PASSED)

    assert cell_outcome([warned, passed], None) == (CellOutcome.PASSED, None, "1 warning: a")


def test_problem_overrides_the_checks() -> None:
    check = CheckResult(id="a", claim="", outcome=CheckOutcome.FAILED)

    verdict = cell_outcome([check], Problem(Reason.OOM, "Out of memory."))

    assert verdict == (CellOutcome.FAILED, Reason.OOM, "Out of memory.")
