"""What keeps a cell from being green, said once for the evidence, the judgement and reports."""

from typing import Final, assert_never

from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Severity


def _fails(outcome: CheckOutcome) -> bool:
    match outcome:
        case (
            CheckOutcome.FAILED
            | CheckOutcome.CRASHED
            | CheckOutcome.TIMED_OUT
            | CheckOutcome.FLAKY
            | CheckOutcome.MISSING
        ):
            return True
        case CheckOutcome.PASSED | CheckOutcome.KNOWN | CheckOutcome.FIXED | CheckOutcome.SKIPPED:
            return False
        case _ as never:
            assert_never(never)


FAILING: Final = frozenset(outcome for outcome in CheckOutcome if _fails(outcome))
"""Outcomes of a check that a green cell can't have, but as a warning."""

GREEN: Final = frozenset({CellOutcome.PASSED, CellOutcome.PARTIAL})
"""Outcomes of a cell in which nothing failed."""

RAN: Final = GREEN | {CellOutcome.FAILED}
"""Outcomes of a cell that its checks may decide."""

SHOWN: Final = frozenset({CheckOutcome.PASSED, CheckOutcome.FIXED})
"""Outcomes of a check whose claim was seen to hold."""


def stands_against(check: CheckResult) -> bool:
    """Tell whether a check keeps its cell from being green."""
    return check.outcome in FAILING and not is_warning(check)


def is_warning(check: CheckResult) -> bool:
    """Tell whether a check failed that only warns; one that never reported is no mere warning."""
    return (
        check.severity is Severity.WARNING
        and check.outcome in FAILING
        and check.outcome is not CheckOutcome.MISSING
    )
