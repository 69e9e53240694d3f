"""Known issues applied to checks: expected failures that are strict and that expire."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from matrixci.matrix.issue_scope import matches_cell, matches_check
from matrixci.model import Cell, CellResult, CheckOutcome, CheckResult, KnownIssue
from matrixci.outcomes import EXECUTED, FAILING
from matrixci.verdict.judged import ExpectedFailure, JudgedCell, KnownFailure

_EXCUSABLE: Final = FAILING & EXECUTED
_NAMED_FAILURES: Final = _EXCUSABLE | {CheckOutcome.KNOWN_ISSUE}
_XFAIL: Final = "xfail: "
"""Prefix that the harness gives to the reason of a test marked with xfail."""


class KnownIssues:
    """The known issues of a run, as of a given day."""

    def __init__(self, issues: Sequence[KnownIssue], today: date) -> None:
        self._issues = tuple(issues)
        self._today = today
        self._of_check: dict[str, tuple[KnownIssue, ...]] = {}

    def apply(self, result: CellResult) -> tuple[CheckResult, ...]:
        """Return the checks of a cell after known issues were applied."""
        if not self._issues:
            return result.checks
        naming, versions = self._naming, _versions(result)
        # In a large run nearly no check matches a known issue. Those keep their result object.
        return tuple(
            [
                self._applied(check, result.cell, versions) if naming(check.id) else check
                for check in result.checks
            ]
        )

    def unmatched(self, reported: Iterable[str]) -> list[KnownIssue]:
        """Return the known issues that match none of the reported checks."""
        named = {id(issue) for check_id in reported for issue in self._naming(check_id)}
        return [issue for issue in self._issues if id(issue) not in named]

    def failures(self, cells: Iterable[JudgedCell]) -> tuple[KnownFailure, ...]:
        """Return the known issues, expired or not, that match failing checks, with those checks."""
        named: dict[int, list[tuple[str, str]]] = {}
        for cell in cells if self._issues else ():
            for check in cell.checks:
                if check.outcome not in _NAMED_FAILURES or not self._naming(check.id):
                    continue
                issue = self._matching(cell.cell, check.id, _versions(cell.result))
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
        """Return whether a failure is due to a known issue, not to an xfail mark of the suite."""
        if check.outcome is CheckOutcome.KNOWN_ISSUE:
            return check.reason == _known(issue)
        return issue.expires <= self._today

    def _naming(self, check_id: str) -> tuple[KnownIssue, ...]:
        """Return the known issues whose pattern matches a check; cached by check id."""
        found = self._of_check.get(check_id)
        if found is None:
            found = tuple(issue for issue in self._issues if matches_check(issue, check_id))
            self._of_check[check_id] = found
        return found

    def _matching(
        self, cell: Cell, check_id: str, versions: Mapping[str, str]
    ) -> KnownIssue | None:
        naming = self._naming(check_id)
        return next((issue for issue in naming if matches_cell(issue, cell, versions)), None)

    def _applied(self, check: CheckResult, cell: Cell, versions: Mapping[str, str]) -> CheckResult:
        """Return a check after the known issue that matches it, if any, was applied."""
        issue = self._matching(cell, check.id, versions)
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
    """Return the failures that the suite itself expects, grouped by reason."""
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
    """Return a note that a known issue has expired."""
    return f"known issue {reference} expired on {day}"


def _known(issue: KnownIssue) -> str:
    return f"{issue.reference}: {issue.reason}"


def _versions(result: CellResult | None) -> Mapping[str, str]:
    return result.lock.versions if result and result.lock else {}
