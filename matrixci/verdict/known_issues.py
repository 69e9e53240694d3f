"""Known issues held against checks: expected failures, strict and expiring."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from matrixci.matrix.issue_scope import names, speaks_of
from matrixci.model import Cell, CellResult, CheckOutcome, CheckResult, KnownIssue
from matrixci.outcomes import EXECUTED, FAILING
from matrixci.verdict.judged import ExpectedFailure, JudgedCell, KnownFailure

_EXCUSABLE: Final = FAILING & EXECUTED
_NAMED_FAILURES: Final = _EXCUSABLE | {CheckOutcome.KNOWN_ISSUE}
_XFAIL: Final = "xfail: "
"""How the harness begins the reason of a failure that the suite expects."""


class KnownIssues:
    """The known issues of a run, as they stand on a day."""

    def __init__(self, issues: Sequence[KnownIssue], today: date) -> None:
        self._issues = tuple(issues)
        self._today = today
        self._of_check: dict[str, tuple[KnownIssue, ...]] = {}

    def hold(self, result: CellResult) -> tuple[CheckResult, ...]:
        """Return a cell's checks as they are where known issues are taken into account."""
        if not self._issues:
            return result.checks
        naming, versions = self._naming, _versions(result)
        # Nearly no check of a large run is named by any, and such a one stays as it is.
        return tuple(
            [
                self._held(check, result.cell, versions) if naming(check.id) else check
                for check in result.checks
            ]
        )

    def idle(self, reported: Iterable[str]) -> list[KnownIssue]:
        """Return the issues that name none of the reported checks: they guard nothing."""
        named = {id(issue) for check_id in reported for issue in self._naming(check_id)}
        return [issue for issue in self._issues if id(issue) not in named]

    def failures(self, cells: Iterable[JudgedCell]) -> tuple[KnownFailure, ...]:
        """Return the issues that name a failing check, expired or not, with what they name."""
        named: dict[int, list[tuple[str, str]]] = {}
        for cell in cells if self._issues else ():
            for check in cell.checks:
                if check.outcome not in _NAMED_FAILURES or not self._naming(check.id):
                    continue
                issue = self._speaking(cell.cell, check.id, _versions(cell.result))
                if issue is not None and self._explains(issue, check):
                    named.setdefault(id(issue), []).append((check.id, cell.cell.id))
        return tuple(
            KnownFailure(
                check=issue.check,
                reference=issue.reference,
                reason=issue.reason,
                expires=issue.expires.isoformat(),
                days_left=(issue.expires - self._today).days,
                checks=tuple(dict.fromkeys(check for check, _ in named[id(issue)])),
                cells=tuple(dict.fromkeys(cell for _, cell in named[id(issue)])),
            )
            for issue in self._issues
            if id(issue) in named
        )

    def _explains(self, issue: KnownIssue, check: CheckResult) -> bool:
        """Tell whether an outcome is what a known issue made of it, not the suite's own xfail."""
        if check.outcome is CheckOutcome.KNOWN_ISSUE:
            return check.reason == _known(issue)
        return issue.expires <= self._today

    def _naming(self, check_id: str) -> tuple[KnownIssue, ...]:
        """Return the issues whose pattern is that of a check, looked up once for each check."""
        found = self._of_check.get(check_id)
        if found is None:
            found = tuple(issue for issue in self._issues if names(issue, check_id))
            self._of_check[check_id] = found
        return found

    def _speaking(
        self, cell: Cell, check_id: str, versions: Mapping[str, str]
    ) -> KnownIssue | None:
        naming = self._naming(check_id)
        return next((issue for issue in naming if speaks_of(issue, cell, versions)), None)

    def _held(self, check: CheckResult, cell: Cell, versions: Mapping[str, str]) -> CheckResult:
        """Hold a check against the known issue that speaks of it."""
        issue = self._speaking(cell, check.id, versions)
        if issue is None:
            return check
        if check.outcome is CheckOutcome.PASSED:
            stale = f"known issue {issue.reference} no longer holds"
            return replace(check, outcome=CheckOutcome.UNEXPECTED_PASS, reason=stale)
        if check.outcome not in _EXCUSABLE:
            return check
        if issue.expires <= self._today:
            parts = [check.reason, expiry(issue.reference, issue.expires.isoformat())]
            return replace(check, reason="; ".join(filter(None, parts)))
        return replace(check, outcome=CheckOutcome.KNOWN_ISSUE, reason=_known(issue))


def expected_failures(cells: Iterable[JudgedCell]) -> tuple[ExpectedFailure, ...]:
    """Return the failures that a suite itself expects, those with one reason together."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cell in cells:
        for check in cell.checks:
            if check.outcome is CheckOutcome.KNOWN_ISSUE and check.reason.startswith(_XFAIL):
                reason = check.reason.removeprefix(_XFAIL)
                found.setdefault(reason, []).append((check.id, cell.cell.id))
    return tuple(
        ExpectedFailure(
            reason=reason,
            checks=tuple(dict.fromkeys(check for check, _ in pairs)),
            cells=tuple(dict.fromkeys(cell for _, cell in pairs)),
        )
        for reason, pairs in found.items()
    )


def expiry(reference: str, day: str) -> str:
    """Say that a known issue excuses nothing any more."""
    return f"known issue {reference} expired on {day}"


def _known(issue: KnownIssue) -> str:
    return f"{issue.reference}: {issue.reason}"


def _versions(result: CellResult | None) -> Mapping[str, str]:
    return result.lock.versions if result and result.lock else {}
