"""Decides whether to open, update or close the issue about a regression.

Pure: a judged run and the open issue in, an action out.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.outcomes import RED
from matrixci.reports.cell_words import run_title
from matrixci.reports.change_groups import change_groups
from matrixci.reports.escape import cut, markdown, markdown_code, visible
from matrixci.reports.grouping import failures, merge_similar, other_cells
from matrixci.util.text import several
from matrixci.verdict.judged import Comparison, JudgedRun, Verdict

_MARKER: Final = re.compile(r"<!-- matrixci (?P<of>[0-9a-f]{16}):(?P<reported>[0-9a-f ]*) -->")
"""The first line of a body, before any text from checks."""
_TITLE: Final = 200
_LINE: Final = 300
_PACKAGES: Final = 1000
_CELLS: Final = 5
_LIST: Final = 40_000
"""Characters of the list; GitHub allows 65,536 for the body of an issue."""
_REPORTED: Final = 1000
"""Maximum number of regressions in the marker, 9 characters each."""


@dataclass(frozen=True, kw_only=True)
class OpenIssue:
    """An open issue."""

    number: int
    body: str


@dataclass(frozen=True, kw_only=True)
class Open:
    """Open an issue."""

    title: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """Update an issue, and comment on new regressions."""

    number: int
    title: str
    body: str
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Close:
    """Close an issue."""

    number: int
    comment: str


Action = Open | Update | Close | None
"""What to do; None: nothing."""


@dataclass(frozen=True, kw_only=True)
class _Regression:
    """A regression, the same in one or more cells."""

    key: str
    line: str


def find(issues: Sequence[OpenIssue], judged: JudgedRun, about: str) -> OpenIssue | None:
    """Return the issue about this subject and matrix, or None if none is open.

    Args:
        issues: the open issues.
        judged: a run of the subject.
        about: distinguishes several matrices of one repository.
    """
    wanted = _identity(judged, about)
    found = [one for one in issues if (mark := _MARKER.match(one.body)) and mark["of"] == wanted]
    return min(found, key=lambda one: one.number, default=None)


def decide(judged: JudgedRun, issue: OpenIssue | None, about: str, link: str) -> Action:
    """Return the action to take after a run.

    A run that is READY closes the issue. A regression against the baseline, or any failure if there
    is no baseline, opens or updates it. A run that is NOT READY for another reason, such as a lost
    machine, leaves it unchanged.

    Args:
        judged: the run.
        issue: the open issue, if there is one.
        about: distinguishes several matrices of one repository.
        link: URL of the run's report.
    """
    if judged.verdict is Verdict.READY:
        if issue is None:
            return None
        return Close(number=issue.number, comment=f"READY again: {_head(judged, link)}")
    found = _regressions(judged)
    if not found:
        return None
    heading = visible(cut(f"{judged.verdict}: {_worse(judged)}", _TITLE))
    body = _body(judged, found, about, link)
    if issue is None:
        return Open(title=heading, body=body)
    mark = _MARKER.match(issue.body)
    reported = set(mark["reported"].split()) if mark else set()
    new = [one for one in found if one.key not in reported]
    comment = f"New regressions: {_head(judged, link)}\n\n{_lines(new)}" if new else None
    return Update(number=issue.number, title=heading, body=body, comment=comment)


def _worse(judged: JudgedRun) -> str:
    name = judged.run.subject.name
    if judged.comparison is None:
        return f"{name} fails"
    return f"{name} is worse than on {judged.comparison.before_day}"


def is_worse(judged: JudgedRun) -> bool:
    """Return whether a run is worse than its baseline or, without a baseline, has failures."""
    return bool(_regressions(judged))


def _regressions(judged: JudgedRun) -> list[_Regression]:
    comparison = judged.comparison
    return _failing(judged) if comparison is None else _regressed(comparison)


def _regressed(comparison: Comparison) -> list[_Regression]:
    return [
        _regression(
            (group.check or "", group.change, group.words),
            [cell.cell for cell in group.cells],
            ", ".join(group.packages),
        )
        for group in change_groups(comparison)
        if group.worse
    ]


def _failing(judged: JudgedRun) -> list[_Regression]:
    checks = [
        _regression((group.check.id, group.check.outcome, ""), [c.cell.id for c in group.cells])
        for group in merge_similar(failures(judged))
    ]
    cells = [
        _regression(("", group.outcome, group.reason or ""), [c.cell.id for c in group.cells])
        for group in other_cells(judged)
        if group.outcome in RED
    ]
    return [*checks, *cells]


def _regression(
    what: tuple[str, str, str], cells: Sequence[str], packages: str = ""
) -> _Regression:
    check, change, words = what
    of = markdown_code(cut(check, _LINE)) if check else "the cell"
    more = len(cells) - _CELLS
    where = ", ".join(map(markdown_code, cells[:_CELLS]))
    where += f" and {several(more, 'more cell')}" if more > 0 else ""
    details = markdown(cut(f" ({words})" if words else "", _LINE))
    line = f"- **{change}**: {of} {details} in {where}\n"
    if packages:
        line += f"  - packages: {markdown(cut(packages, _PACKAGES))}\n"
    return _Regression(key=_digest(*what)[:8], line=line)


def _body(judged: JudgedRun, found: Sequence[_Regression], about: str, link: str) -> str:
    reported = " ".join(one.key for one in found[:_REPORTED])
    marker = f"<!-- matrixci {_identity(judged, about)}:{reported} -->"
    return (
        f"{marker}\n{_head(judged, link)}\n\n{_lines(found)}\n"
        "Each scheduled run updates this issue; the first that is READY closes it.\n"
    )


def _head(judged: JudgedRun, link: str) -> str:
    return f"{markdown(cut(run_title(judged), _LINE))}, {link}"


def _lines(found: Sequence[_Regression]) -> str:
    shown, used = [], 0
    for one in found:
        used += len(one.line)
        if used > _LIST:
            break
        shown.append(one.line)
    left_out = len(found) - len(shown)
    rest = f"- and {left_out} more; the report lists all of them\n" if left_out else ""
    return "".join(shown) + rest


def _identity(judged: JudgedRun, about: str) -> str:
    return _digest(judged.run.subject.name, about)[:16]


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()
