"""Streaks of a cell and flips of a check, computed from a series.

Three rules decide the state of a cell in a run:

- Outcomes that are not conclusive (error, cancelled, missing) give no state. They neither end a
  streak nor make it longer.
- A run with a check filter can show that a cell is red, but not that it is green.
- An unsatisfiable cell is neither red nor green.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from matrixci.history.series import CellPoint, CheckPoint
from matrixci.model import CheckOutcome
from matrixci.outcomes import CONCLUSIVE, EXECUTED, GREEN, PASSING, RED


class State(StrEnum):
    """The state of a cell in a run."""

    GREEN = "green"
    RED = "red"
    UNSATISFIABLE = "unsatisfiable"


@dataclass(frozen=True, kw_only=True)
class Streak:
    """The present state of a cell, and how long it has lasted."""

    state: State
    since: CellPoint
    """The first run of the streak."""
    latest: CellPoint
    runs: int
    """Number of consecutive runs with this state."""
    last_green: CellPoint | None
    """The last green run before the streak; None if there is none or the streak is green."""


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Number of times that a check changed between passing and failing."""

    runs: int
    """Number of runs in which it passed or failed."""
    flips: int
    of_same_lock: int
    """Flips between two runs with the same lock, which no installed package explains."""
    flaky: int
    """Number of runs in which it failed, and passed when it was run again alone."""


def state_of(point: CellPoint) -> State | None:
    """Return the state of a cell in a run, or None if the run has no evidence."""
    if point.outcome in GREEN:
        return State.GREEN if point.whole else None
    if point.outcome in RED:
        return State.RED
    return State.UNSATISFIABLE if point.outcome in CONCLUSIVE else None


def streak(points: Sequence[CellPoint]) -> Streak | None:
    """Return the present streak of a cell, or None if no run has a state.

    Args:
        points: the series of the cell, oldest first.
    """
    known = [(state, point) for point in points if (state := state_of(point)) is not None]
    if not known:
        return None
    state, latest = known[-1]
    before = len(known)
    while before > 0 and known[before - 1][0] is state:
        before -= 1
    green = None
    if state is not State.GREEN:
        green = next((p for s, p in reversed(known[:before]) if s is State.GREEN), None)
    return Streak(
        state=state,
        since=known[before][1],
        latest=latest,
        runs=len(known) - before,
        last_green=green,
    )


@dataclass(frozen=True, kw_only=True)
class Red:
    """The period since which a cell or check has been red, as far as the history goes back."""

    since: str | None
    """Day of the first red run, ISO 8601; None: the present run is the first."""
    last_green: str | None
    """Day of the last green run before it, ISO 8601; None: the history has none."""


def red_before(points: Sequence[tuple[bool | None, str]]) -> Red | None:
    """Return the red period before the present run, or None if no earlier run has evidence.

    Args:
        points: for each earlier run, oldest first: whether it was good (None: no evidence) and the
            day of the run.
    """
    known = [(good, day) for good, day in points if good is not None]
    first = len(known)
    while first > 0 and not known[first - 1][0]:
        first -= 1
    if not known:
        return None
    return Red(
        since=known[first][1] if first < len(known) else None,
        last_green=known[first - 1][1] if first > 0 else None,
    )


def longest(each: Iterable[Red]) -> Red | None:
    """Return the longest red period, or None if there is none."""
    return min(each, key=lambda red: (red.since is None, red.since or ""), default=None)


def is_good(outcome: CheckOutcome) -> bool | None:
    """Return whether a check passed, regardless of known issues; None if it did not run."""
    return outcome in PASSING if outcome in EXECUTED else None


def flips(points: Iterable[CheckPoint]) -> Flips:
    """Return the flips of a check in one cell.

    Args:
        points: the series of the check in that cell, oldest first.
    """
    known = [(good, p) for p in points if (good := is_good(p.outcome)) is not None]
    changes = [
        (before, after) for (was, before), (is_now, after) in pairwise(known) if was is not is_now
    ]
    return Flips(
        runs=len(known),
        flips=len(changes),
        of_same_lock=sum(before.lock == after.lock for before, after in changes),
        flaky=sum(point.outcome is CheckOutcome.FLAKY for _, point in known),
    )


def total(each: Iterable[Flips]) -> Flips:
    """Return the sum of the flips of several cells."""
    every = list(each)
    return Flips(
        runs=sum(one.runs for one in every),
        flips=sum(one.flips for one in every),
        of_same_lock=sum(one.of_same_lock for one in every),
        flaky=sum(one.flaky for one in every),
    )
