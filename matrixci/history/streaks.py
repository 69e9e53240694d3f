"""What a series says: since when a cell is as it is, and how often a check changed its mind.

Pure functions over points. Three rules decide what a run says of a cell:

- `error`, `cancelled` and `missing` are the infrastructure's: they say nothing of the cell, so
  they neither end a streak nor make it longer.
- A run of some checks only, by a filter, can show that a cell is red, and not that it is green.
- `unsatisfiable` is neither red nor green: there is nothing that could be either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from matrixci.history.series import CellPoint, CheckPoint
from matrixci.model import CheckOutcome
from matrixci.outcomes import CONCLUSIVE, EXECUTED, GREEN, PASSING, RED


class State(StrEnum):
    """What a run says of a cell."""

    GREEN = "green"
    RED = "red"
    UNSATISFIABLE = "unsatisfiable"


@dataclass(frozen=True, kw_only=True)
class Streak:
    """A cell's present state, and how long it lasts."""

    state: State
    since: CellPoint
    """The first run of the streak."""
    latest: CellPoint
    runs: int
    """How many runs say so, one after the other."""
    last_green: CellPoint | None
    """The last green run before the streak; None where there is none, or it is green itself."""


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How often a check went from good to bad or back, from one run of a cell to the next."""

    runs: int
    """How many runs said either."""
    flips: int
    of_same_lock: int
    """Those between two runs with one lock: nothing that is installed explains them."""
    flaky: int
    """Runs in which it failed, and passed when it was run again alone."""


def state_of(point: CellPoint) -> State | None:
    """Return what a run says of a cell, None where it says nothing."""
    if point.outcome in GREEN:
        return State.GREEN if point.whole else None
    if point.outcome in RED:
        return State.RED
    return State.UNSATISFIABLE if point.outcome in CONCLUSIVE else None


def streak(points: Sequence[CellPoint]) -> Streak | None:
    """Return the present streak of a cell; None where no run says anything of it.

    Args:
        points: the cell's series, oldest first.
    """
    told = [(state, point) for point in points if (state := state_of(point)) is not None]
    if not told:
        return None
    state, latest = told[-1]
    before = len(told)
    while before > 0 and told[before - 1][0] is state:
        before -= 1
    green = None
    if state is not State.GREEN:
        green = next((p for s, p in reversed(told[:before]) if s is State.GREEN), None)
    return Streak(
        state=state,
        since=told[before][1],
        latest=latest,
        runs=len(told) - before,
        last_green=green,
    )


@dataclass(frozen=True, kw_only=True)
class Red:
    """Since when something is red that is red now, as far as the history goes back."""

    since: str | None
    """Day of the first red run; None: the present run is the first."""
    last_green: str | None
    """Day of the last green run before it; None: the history has none."""


def red_before(points: Sequence[tuple[bool | None, str]]) -> Red | None:
    """Return since when something is red; None if no earlier run says anything of it.

    Args:
        points: whether it was good in each earlier run (None: the run says neither), and the day of
            that run; oldest first.
    """
    told = [(good, day) for good, day in points if good is not None]
    first = len(told)
    while first > 0 and not told[first - 1][0]:
        first -= 1
    if not told:
        return None
    return Red(
        since=told[first][1] if first < len(told) else None,
        last_green=told[first - 1][1] if first > 0 else None,
    )


def longest(each: Iterable[Red]) -> Red | None:
    """Return the one that is red for the longest; None of none."""
    return min(each, key=lambda red: (red.since is None, red.since or ""), default=None)


def is_good(outcome: CheckOutcome) -> bool | None:
    """Return whether a check did what it should, whatever was known; None: it says neither."""
    return outcome in PASSING if outcome in EXECUTED else None


def flips(points: Iterable[CheckPoint]) -> Flips:
    """Return how often a check flipped in one cell.

    Args:
        points: the check's series in that cell, oldest first.
    """
    told = [(good, p) for p in points if (good := is_good(p.outcome)) is not None]
    changes = [
        (before, after) for (was, before), (is_now, after) in pairwise(told) if was is not is_now
    ]
    return Flips(
        runs=len(told),
        flips=len(changes),
        of_same_lock=sum(before.lock == after.lock for before, after in changes),
        flaky=sum(point.outcome is CheckOutcome.FLAKY for _, point in told),
    )


def total(each: Iterable[Flips]) -> Flips:
    """Return the flips of several cells together."""
    every = list(each)
    return Flips(
        runs=sum(one.runs for one in every),
        flips=sum(one.flips for one in every),
        of_same_lock=sum(one.of_same_lock for one in every),
        flaky=sum(one.flaky for one in every),
    )
