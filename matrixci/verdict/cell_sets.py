"""Describe a set of cells by the axis values they have in common."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from matrixci.model import Cell, CheckOutcome
from matrixci.outcomes import EXECUTED, PASSING
from matrixci.verdict.judged import JudgedRun

_FEWEST: Final = 3
_MOST_VALUES: Final = 3
_EVERY: Final = "every cell"


def common_values(
    chosen: Collection[str], among: Sequence[Cell]
) -> Mapping[str, tuple[str, ...]] | None:
    """Return the axis values that the chosen cells have and no other cell has.

    Args:
        chosen: ids of the chosen cells.
        among: the cells to choose from.

    Returns:
        Axis to values, without axes that are not needed; empty if all cells are chosen. None if no
        axis values separate the chosen cells from the others.
    """
    found: dict[str, dict[str, None]] = {}
    for cell in among:
        if cell.id in chosen:
            for axis, value in cell.axes.items():
                found.setdefault(axis, {})[value] = None
    values = {axis: tuple(of) for axis, of in found.items()}
    if not _are_exactly(chosen, among, values):
        return None
    # Drop the axes with the most values first: they describe the set least.
    for axis in sorted(values, key=lambda name: -len(values[name])):
        fewer = {name: of for name, of in values.items() if name != axis}
        if _are_exactly(chosen, among, fewer):
            values = fewer
    return values


def set_words(chosen: Collection[str], among: Sequence[Cell], every: Sequence[Cell]) -> str:
    """Return a description of a set of cells, such as "every cell with numpy 1.x".

    Args:
        chosen: ids of the chosen cells.
        among: the cells to choose from: those in which the check ran.
        every: all cells of the run.

    Returns:
        The description, or "" if a list of the cells is as short and as clear.
    """
    if len(chosen) < _FEWEST:
        return ""
    values = common_values(chosen, among)
    if values is None:
        return ""
    if sum(map(len, values.values())) > min(_MOST_VALUES, len(chosen) - 1):
        return ""
    names = " and ".join(f"{axis} {_either(allowed)}" for axis, allowed in values.items())
    words = f"{_EVERY} with {names}" if names else _EVERY
    ran = len(_matching(among, values)) == len(_matching(every, values))
    return words if ran else f"{words} that ran it"


def _either(values: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def outcomes_of(judged: JudgedRun, checks: Collection[str]) -> dict[str, dict[str, CheckOutcome]]:
    """Return the outcomes of the given checks: check id to cell id to outcome, where it ran."""
    found: dict[str, dict[str, CheckOutcome]] = {check: {} for check in checks}
    for cell in judged.cells:
        for check in cell.checks:
            if check.id in found and check.outcome in EXECUTED:
                found[check.id][cell.cell.id] = check.outcome
    return found


def failing_words(
    judged: JudgedRun, chosen: Collection[str], outcomes: Mapping[str, CheckOutcome]
) -> str:
    """Return a description of the cells in which a check fails, or "" if a list is as clear.

    Args:
        judged: the run.
        chosen: ids of the cells in which the check fails.
        outcomes: cell id to outcome, for the cells in which the check ran.
    """
    cells = [cell.cell for cell in judged.cells]
    among = [cell for cell in cells if cell.id in outcomes]
    words = set_words(chosen, among, cells)
    others = outcomes.keys() - set(chosen)
    if words and others and all(outcomes[other] in PASSING for other in others):
        return f"{words}, and in no other"
    return words


def _are_exactly(
    chosen: Collection[str], among: Sequence[Cell], values: Mapping[str, Sequence[str]]
) -> bool:
    return all(cell.id in chosen for cell in _matching(among, values))


def _matching(cells: Sequence[Cell], values: Mapping[str, Sequence[str]]) -> list[Cell]:
    wanted = {axis: frozenset(of) for axis, of in values.items()}
    return [cell for cell in cells if all(cell.axes.get(axis) in of for axis, of in wanted.items())]
