"""Summaries of the blockers: the claim, its message, the cells and since when it is red."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Final

from matrixci.history.streaks import Red
from matrixci.model import CheckOutcome
from matrixci.outcomes import GREEN
from matrixci.reports.change_groups import package_word
from matrixci.reports.escape import cut
from matrixci.reports.report import Report
from matrixci.verdict.judged import Blocker, Comparison, JudgedRun, PackageChange

_Release = tuple[str, str | None]
"""A package and its version; None if it is not installed."""

_NAMED_CELLS: Final = 3
_NAMED_PACKAGES: Final = 3
_MESSAGE: Final = 300


@dataclass(frozen=True, kw_only=True)
class BlockerSummary:
    """A blocker in a few lines. Its texts are not escaped."""

    title: str
    """the claim that failed, or the text of the blocker"""
    outcome: CheckOutcome | None = None
    """None if the blocker is not a check"""
    check: str | None = None
    message: str | None = None
    """None if the check has no message"""
    where: str = ""
    facts: tuple[str, ...] = ()
    """since when it is red, and the known issue that expired"""
    packages: str = ""
    """the packages that changed since the baseline in all of the cells, and whether green cells
    have the same versions"""

    @property
    def line(self) -> str:
        """The summary in one line."""
        title = self.title
        if self.outcome is not None:
            title = f"{title.rstrip(' .:;,')}: {self.outcome} in {self.where}"
        message = (self.message or "").rstrip(" .")
        return " · ".join(filter(None, (title, message, *self.facts)))


def blocker_summaries(report: Report) -> list[BlockerSummary]:
    """Return the summaries of a run's blockers."""
    judged = report.judged
    blockers = judged.blockers or tuple(Blocker(text=text) for text in judged.reasons)
    green = _green_releases(judged) if judged.comparison else frozenset()
    return [_summary(one, report, green) for one in blockers]


def _summary(blocker: Blocker, report: Report, green: AbstractSet[_Release]) -> BlockerSummary:
    red = report.reds.get(blocker.text)
    since = [_since(red)] if red else []
    if blocker.check is None:
        return BlockerSummary(title=blocker.text, facts=tuple(since))
    instances = f" ({blocker.instances} instances)" if blocker.instances > 1 else ""
    return BlockerSummary(
        title=f"{blocker.claim or blocker.check}{instances}",
        outcome=blocker.outcome,
        check=blocker.check,
        message=_first_line(blocker.message) if blocker.message else None,
        where=_where(blocker.cells, len(report.judged.cells)),
        facts=(*since, *filter(None, [blocker.note])),
        packages=_packages(blocker, report.judged.comparison, green),
    )


def _first_line(message: str) -> str:
    """Return the first line of a message, and after an "expected:" line also the "seen:" line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    first = lines[:1]
    if first and first[0].startswith("expected:"):
        first += [line for line in lines[1:2] if line.startswith("seen:")]
    return cut("; ".join(first), _MESSAGE)


def _where(cells: Sequence[str], total: int) -> str:
    counted = f"{len(cells)} of {total} cell{'' if total == 1 else 's'}"
    return f"{counted}: {', '.join(cells)}" if len(cells) <= _NAMED_CELLS else counted


def _since(red: Red) -> str:
    if red.since is None:
        return f"red since this run, last green {red.last_green}"
    if red.last_green is None:
        return f"red since {red.since}, no green run is known"
    return f"red since {red.since}, last green {red.last_green}"


def _green_releases(judged: JudgedRun) -> frozenset[_Release]:
    """Return the releases that are installed in at least one green cell."""
    locks = [
        cell.result.lock.versions
        for cell in judged.cells
        if cell.outcome in GREEN and cell.result and cell.result.lock
    ]
    return frozenset(chain.from_iterable(lock.items() for lock in locks))


def _packages(blocker: Blocker, comparison: Comparison | None, green: AbstractSet[_Release]) -> str:
    """Describe the packages that changed in all cells of a blocker.

    Releases that no green cell has are the likely cause, so only they are named if there are any.
    """
    found = [change for cell in blocker.cells if comparison and (change := comparison.cell(cell))]
    regressed = any(one.check == blocker.check for change in found for one in change.checks)
    if not regressed or len(found) < len(blocker.cells):
        return ""
    common = frozenset.intersection(*(frozenset(change.packages) for change in found))
    changed = [package for package in found[0].packages if package in common]
    suspects = [one for one in changed if (one.name, one.after) not in green]
    if suspects:
        return f"changed since the baseline, in no green cell: {_listed(suspects)}"
    words = f"changed since the baseline, also in green cells: {_listed(changed)}"
    return words if changed else ""


def _listed(packages: Sequence[PackageChange]) -> str:
    more = len(packages) - _NAMED_PACKAGES
    named = ", ".join(map(package_word, packages[:_NAMED_PACKAGES]))
    return f"{named} and {more} more" if more > 0 else named
