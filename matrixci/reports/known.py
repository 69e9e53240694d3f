"""Failures that were expected, as rows of a table: known issues, and the suite's own xfail."""

from dataclasses import dataclass
from typing import Final

from matrixci.util.text import several
from matrixci.verdict.judged import ExpectedFailure, JudgedRun, KnownFailure

_SOON: Final = 30


@dataclass(frozen=True, kw_only=True)
class KnownRow:
    """One row: the texts are as they came, and not escaped for any format."""

    reference: str
    pattern: str
    """which checks a known issue names"""
    reason: str
    excuses: str
    expires: str
    expired: bool = False
    soon: bool = False
    """it expires in a month"""


def known_rows(judged: JudgedRun) -> list[KnownRow]:
    """Return the rows: what expired first, then what is known, then what the suite expects."""
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
