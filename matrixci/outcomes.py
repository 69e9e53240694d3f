"""The table of outcomes: everything that is true of each outcome of a check and of a cell.

No other module lists outcomes. It uses one of the sets below, which are derived from the table, or
a `match` over every outcome that ends in `assert_never`. Adding an outcome therefore means adding a
row here and handling it in the places that mypy reports.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Need, Reason, Severity
from matrixci.util.text import listed

_LISTED_CHECKS: Final = 5
_ID_CHARACTERS: Final = 200


@dataclass(frozen=True, kw_only=True)
class CheckTraits:
    """What is true of an outcome of a check."""

    passing: bool = False
    """The check passed, whether or not a known issue expected it to fail."""
    failing: bool = False
    """The check keeps its cell from being green, unless its severity is warning."""
    executed: bool = True
    """The check ran to its end or was stopped while it ran."""
    from_known_issue: bool = False
    """An expected failure, or an expected failure that did not happen."""
    reportable: bool = False
    """The container may report it. The other outcomes are assigned by the host."""


def check_traits(outcome: CheckOutcome) -> CheckTraits:
    """Return the traits of an outcome of a check."""
    match outcome:
        case CheckOutcome.PASSED:
            return CheckTraits(passing=True, reportable=True)
        case CheckOutcome.FAILED | CheckOutcome.CRASHED | CheckOutcome.TIMED_OUT:
            return CheckTraits(failing=True, reportable=True)
        case CheckOutcome.KNOWN_ISSUE:
            # The container reports it for a test that the user's suite marks with xfail.
            return CheckTraits(from_known_issue=True, reportable=True)
        case CheckOutcome.UNEXPECTED_PASS:
            return CheckTraits(passing=True, from_known_issue=True)
        case CheckOutcome.FLAKY:
            return CheckTraits(failing=True)
        case CheckOutcome.SKIPPED:
            return CheckTraits(executed=False, reportable=True)
        case CheckOutcome.MISSING:
            return CheckTraits(failing=True, executed=False)
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, kw_only=True)
class CellTraits:
    """What is true of an outcome of a cell."""

    green: bool = False
    """No check failed."""
    red: bool = False
    """The subject failed: in its checks, or already while its image was built."""
    from_checks: bool = False
    """The checks ran, and their outcomes can determine the cell's."""
    conclusive: bool = True
    """Says something about the subject, so the cell is not run again when a run is resumed."""
    infrastructure: bool = False
    """The machine, the engine or the network failed."""


def cell_traits(outcome: CellOutcome) -> CellTraits:
    """Return the traits of an outcome of a cell."""
    match outcome:
        case CellOutcome.PASSED | CellOutcome.PARTIAL:
            return CellTraits(green=True, from_checks=True)
        case CellOutcome.FAILED:
            return CellTraits(red=True, from_checks=True)
        case CellOutcome.BLOCKED:
            return CellTraits(red=True)
        case CellOutcome.UNSATISFIABLE:
            return CellTraits()
        case CellOutcome.ERROR | CellOutcome.MISSING:
            return CellTraits(conclusive=False, infrastructure=True)
        case CellOutcome.CANCELLED:
            return CellTraits(conclusive=False)
        case _ as never:
            assert_never(never)


PASSING: Final = frozenset(each for each in CheckOutcome if check_traits(each).passing)
FAILING: Final = frozenset(each for each in CheckOutcome if check_traits(each).failing)
EXECUTED: Final = frozenset(each for each in CheckOutcome if check_traits(each).executed)
FROM_KNOWN_ISSUE: Final = frozenset(
    each for each in CheckOutcome if check_traits(each).from_known_issue
)
REPORTABLE: Final = frozenset(each for each in CheckOutcome if check_traits(each).reportable)

GREEN: Final = frozenset(each for each in CellOutcome if cell_traits(each).green)
RED: Final = frozenset(each for each in CellOutcome if cell_traits(each).red)
FROM_CHECKS: Final = frozenset(each for each in CellOutcome if cell_traits(each).from_checks)
CONCLUSIVE: Final = frozenset(each for each in CellOutcome if cell_traits(each).conclusive)
INFRASTRUCTURE: Final = frozenset(each for each in CellOutcome if cell_traits(each).infrastructure)


def outcome_words(outcome: CellOutcome, reason: Reason | None) -> str:
    """Return an outcome followed by its reason in brackets, if it has one."""
    return f"{outcome} ({reason})" if reason else str(outcome)


def is_warning(check: CheckResult) -> bool:
    """Return whether a failed check only warns. A missing check is never only a warning."""
    return (
        check.outcome in FAILING
        and check.severity is Severity.WARNING
        and check.outcome is not CheckOutcome.MISSING
    )


def failing_checks(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the checks that keep their cell from being green."""
    # The first condition alone decides for nearly all checks, so it comes before the call.
    return [check for check in checks if check.outcome in FAILING and not is_warning(check)]


def warning_checks(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the failed checks that only warn."""
    return [check for check in checks if check.outcome in FAILING and is_warning(check)]


class Problem(NamedTuple):
    """Why the files that a container left behind are not evidence."""

    reason: Reason
    message: str


class CellVerdict(NamedTuple):
    """The outcome of a cell, with the reason and a sentence that explains it."""

    outcome: CellOutcome
    reason: Reason | None
    message: str


def cell_outcome(checks: Sequence[CheckResult], problem: Problem | None) -> CellVerdict:
    """Return the outcome of a cell, given its checks.

    Args:
        checks: as reported by the container, or after known issues were applied.
        problem: why there is no evidence, or None.
    """
    if problem:
        return CellVerdict(CellOutcome.FAILED, problem.reason, problem.message)
    if failing := failing_checks(checks):
        counts = Counter(check.outcome for check in failing)
        counted = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        message = f"{counted} of {len(checks)}: {_listed(failing)}"
        return CellVerdict(CellOutcome.FAILED, Reason.CHECKS, message)
    skipped = [check for check in checks if check.outcome is CheckOutcome.SKIPPED]
    needs = Counter(check.need for check in skipped if check.need)
    if needs:
        counted = ", ".join(f"{count} need {_needed(need)}" for need, count in needs.items())
        message = f"{counted}, of {len(checks)} checks"
        return CellVerdict(CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, message)
    if len(skipped) == len(checks):
        # Skipped is not passed: a cell in which no check ran is no evidence.
        message = f"All {len(checks)} checks were skipped." if checks else "No check was collected."
        return CellVerdict(CellOutcome.FAILED, Reason.NO_CHECKS, message)
    return CellVerdict(CellOutcome.PASSED, None, _warnings(checks))


def _warnings(checks: Sequence[CheckResult]) -> str:
    warned = warning_checks(checks)
    plural = "s" if len(warned) > 1 else ""
    return f"{len(warned)} warning{plural}: {_listed(warned)}" if warned else ""


def _needed(need: Need) -> str:
    match need:
        case Need.GPU:
            return "a GPU"


def _listed(checks: Iterable[CheckResult]) -> str:
    return listed((check.id[:_ID_CHARACTERS] for check in checks), most=_LISTED_CHECKS)
