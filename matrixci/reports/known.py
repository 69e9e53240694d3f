"""Rows for expected failures: known issues, and tests that the suite marks with xfail."""

from dataclasses import dataclass
from typing import Final

from matrixci.util.text import several
from matrixci.verdict.judged import ExpectedFailure, JudgedRun, KnownFailure

_SOON: Final = 30


@dataclass(frozen=True, kw_only=True)
class KnownRow:
    """A row of the table. Its texts are not escaped."""

    reference: str
    pattern: str
    """the checks that the known issue covers"""
    reason: str
    excuses: str
    expires: str
    expired: bool = False
    soon: bool = False
    """whether it expires within 30 days"""


def known_rows(judged: JudgedRun) -> list[KnownRow]:
    """Return the rows: expired known issues first, then the others, then the suite's own."""
    known = sorted(judged.known, key=lambda issue: not issue.expired)
    return [*map(_of_issue, known), *map(_of_suite, judged.expected)]


def _of_issue(issue: KnownFailure) -> KnownRow:
    left = f"in {several(issue.days_left, 'day')}"
    return KnownRow(
        reference=issue.reference,
        pattern=issue.check,
        reason=issue.reason,
        excuses=f"{'no longer ' if issue.expired else ''}{_count(issue)}",
        expires=f"{issue.expires}, {'expired' if issue.expired else left}",
        expired=issue.expired,
        soon=not issue.expired and issue.days_left <= _SOON,
    )


def _of_suite(expected: ExpectedFailure) -> KnownRow:
    return KnownRow(
        reference="xfail in the suite",
        pattern="",
        reason=expected.reason,
        excuses=_count(expected),
        expires="never",
    )


def _count(one: KnownFailure | ExpectedFailure) -> str:
    return f"{several(len(one.checks), 'check')} in {several(len(one.cells), 'cell')}"
