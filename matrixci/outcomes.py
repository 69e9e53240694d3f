"""What keeps a cell from being green, said once for the evidence, the judgement and reports."""

from collections.abc import Iterable
from typing import Final, assert_never

from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Reason, Severity


def outcome_words(outcome: CellOutcome, reason: Reason | None) -> str:
    """Return an outcome with its reason, where it has one."""
    return f"{outcome} ({reason})" if reason else str(outcome)


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


def is_warning(check: CheckResult) -> bool:
    """Tell whether a check failed that only warns; one that never reported is no mere warning."""
    return (
        check.outcome in FAILING
        and check.severity is Severity.WARNING
        and check.outcome is not CheckOutcome.MISSING
    )


def standing_against(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the checks that keep their cell from being green."""
    # The first condition alone decides for nearly all, so it is asked without a call.
    return [check for check in checks if check.outcome in FAILING and not is_warning(check)]


def warning(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the checks that failed and only warn."""
    return [check for check in checks if check.outcome in FAILING and is_warning(check)]
