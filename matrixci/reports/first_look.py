"""What is read first: each blocker by its claim, its message, where it is and since when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.history.streaks import Red
from matrixci.judged import Blocker, Comparison
from matrixci.model import CheckOutcome
from matrixci.reports.changes import OTHERS, change_groups
from matrixci.reports.escape import cut
from matrixci.reports.report import Report

_NAMED_CELLS: Final = 3
_NAMED_PACKAGES: Final = 3
_MESSAGE: Final = 300


@dataclass(frozen=True, kw_only=True)
class Look:
    """One blocker at first look; the texts are as they came, and not escaped for any format."""

    title: str
    """the claim that failed, or all that there is to say"""
    outcome: CheckOutcome | None = None
    """None: the blocker is not a check"""
    check: str | None = None
    message: str | None = None
    """None: the check says nothing"""
    where: str = ""
    facts: tuple[str, ...] = ()
    """since when it is red, the known issue that expired"""
    packages: str = ""
    """which packages changed since the baseline in all of the cells"""

    @property
    def line(self) -> str:
        """All of it in one line."""
        title = self.title
        if self.outcome is not None:
            title = f"{title.rstrip(' .:;,')}: {self.outcome} in {self.where}"
        return " · ".join(filter(None, (title, self.message, *self.facts)))


def looks(report: Report) -> list[Look]:
    """Return the blockers of a run as they are read first."""
    judged = report.judged
    blockers = judged.blockers or tuple(Blocker(text=text) for text in judged.reasons)
    packages = _packages(judged.comparison) if judged.comparison else {}
    return [_look(one, report, packages.get(one.check, "")) for one in blockers]


def _look(blocker: Blocker, report: Report, packages: str) -> Look:
    red = report.reds.get(blocker.text)
    since = [_since(red)] if red else []
    if blocker.check is None:
        return Look(title=blocker.text, facts=tuple(since))
    instances = f" ({blocker.instances} instances)" if blocker.instances > 1 else ""
    return Look(
        title=f"{blocker.claim or blocker.check}{instances}",
        outcome=blocker.outcome,
        check=blocker.check,
        message=_first_line(blocker.message) if blocker.message else None,
        where=_where(blocker.cells, len(report.judged.cells)),
        facts=(*since, *filter(None, [blocker.note])),
        packages=packages,
    )


def _first_line(message: str) -> str:
    """Return what a message says first; of an expectation, also what was seen."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = lines[:1]
    if told and told[0].startswith("expected:"):
        told += [line for line in lines[1:2] if line.startswith("seen:")]
    return cut("; ".join(told), _MESSAGE)


def _where(cells: Sequence[str], total: int) -> str:
    counted = f"{len(cells)} of {total} cell{'' if total == 1 else 's'}"
    return f"{counted}: {', '.join(cells)}" if len(cells) <= _NAMED_CELLS else counted


def _since(red: Red) -> str:
    if red.since is None:
        return f"red since this run, last green {red.last_green}"
    if red.last_green is None:
        return f"red since {red.since}, no green run is known"
    return f"red since {red.since}, last green {red.last_green}"


def _packages(comparison: Comparison) -> Mapping[str | None, str]:
    """Return the packages that changed wherever a check got worse, by the check's id."""
    worse = (group for group in change_groups(comparison) if group.worse and group.check)
    named = {group.check: [one for one in group.packages if one != OTHERS] for group in worse}
    return {check: _listed(packages) for check, packages in named.items()}


def _listed(packages: Sequence[str]) -> str:
    more = len(packages) - _NAMED_PACKAGES
    named = ", ".join(packages[:_NAMED_PACKAGES])
    return f"{named} and {more} more" if more > 0 else named
