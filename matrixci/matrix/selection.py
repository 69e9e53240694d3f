"""Selection of some cells of a matrix, by axis values, globs over cell ids, or a tier."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from matrixci.errors import UsageError
from matrixci.matrix.cells import expand
from matrixci.matrix.combinations import CellRules, matches_rule
from matrixci.matrix.definition import Matrix
from matrixci.model import Cell
from matrixci.util.text import listed, nearest

_NO_IDS: Final[Mapping[str, Mapping[str, str]]] = {}
_NO_TIERS: Final[Mapping[str, CellRules]] = {}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Conditions that a selected cell meets; an empty condition is met by every cell."""

    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis to the names or ids of the selected values."""
    cells: tuple[str, ...] = ()
    """Globs over cell ids, of which a cell matches at least one."""
    tier: str | None = None
    """Name of a tier; a cell matches at least one of its rules."""


@dataclass(frozen=True, kw_only=True)
class SelectedCells:
    """The cells that a command runs, and the other cells of the matrix."""

    cells: tuple[Cell, ...]
    unselected: tuple[Cell, ...]
    tier: str | None = None
    """Name of the selected tier, if any."""


def select_cells(matrix: Matrix, selection: Selection) -> SelectedCells:
    """Return the selected cells of a matrix.

    Raises:
        UsageError: the selection matches no cell.
    """
    every = expand(matrix)
    cells = filter_cells(every, selection, matrix.value_ids(), matrix.tiers)
    selected = {cell.id for cell in cells}
    return SelectedCells(
        cells=cells,
        unselected=tuple(cell for cell in every if cell.id not in selected),
        tier=selection.tier,
    )


def filter_cells(
    cells: Sequence[Cell],
    selection: Selection,
    ids: Mapping[str, Mapping[str, str]] = _NO_IDS,
    tiers: Mapping[str, CellRules] = _NO_TIERS,
) -> tuple[Cell, ...]:
    """Return the selected cells in the given order.

    Args:
        cells: all cells of a matrix.
        selection: the conditions, all of which a selected cell meets.
        ids: result of Matrix.value_ids(), so that a value can also be named by its id.
        tiers: the tiers of the matrix, name to rules.

    Raises:
        UsageError: an axis, value, glob or tier is unknown, or no cell meets all conditions. The
            message names each of them, with the known ones.
    """
    wanted = {
        axis: tuple(_value_name(ids.get(axis, {}), word) for word in words)
        for axis, words in selection.axes.items()
    }
    problems = [
        *_axis_problems(cells, wanted, ids),
        *_glob_problems(cells, selection.cells),
        *_tier_problems(selection.tier, tiers),
    ]
    selected = tuple(
        cell
        for cell in cells
        if all(not names or cell.axes.get(axis) in names for axis, names in wanted.items())
        and (not selection.cells or any(_matches_glob(cell, glob) for glob in selection.cells))
        and (selection.tier is None or _is_in_tier(cell, tiers.get(selection.tier, ())))
    )
    if not selected and not problems:
        problems = [_no_match(cells, selection)]
    if problems:
        raise UsageError("\n".join(problems))
    return selected


def _value_name(ids: Mapping[str, str], word: str) -> str:
    """Return the name of the value with a name or id; a name takes precedence."""
    by_id = {made: name for name, made in ids.items()}
    return word if word in ids else by_id.get(word, word)


def _matches_glob(cell: Cell, glob: str) -> bool:
    return fnmatch.fnmatchcase(cell.id, glob)


def _is_in_tier(cell: Cell, rules: CellRules) -> bool:
    return any(matches_rule(rule, cell.axes) for rule in rules)


def _axis_problems(
    cells: Sequence[Cell],
    wanted: Mapping[str, Sequence[str]],
    ids: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    axes = list(dict.fromkeys(axis for cell in cells for axis in cell.axes))
    for axis, words in wanted.items():
        if axis not in axes:
            yield f'Unknown axis "{axis}". {_question(axis, axes)}{_known("Axes", axes)}'
            continue
        names = list(dict.fromkeys(cell.axes[axis] for cell in cells))
        known = [*names, *(ids.get(axis, {}).get(name, name) for name in names)]
        for word in words:
            if word not in names:
                question = _question(word, known)
                values = _known("Values", names)
                yield f'Unknown value "{word}" of the axis {axis}. {question}{values}'


def _glob_problems(cells: Sequence[Cell], globs: Sequence[str]) -> Iterator[str]:
    for glob in globs:
        if not any(_matches_glob(cell, glob) for cell in cells):
            question = _question(glob, [cell.id for cell in cells])
            yield f'No cell matches "{glob}". {question}{_available(cells)}'


def _tier_problems(tier: str | None, tiers: Mapping[str, CellRules]) -> Iterator[str]:
    if tier is not None and tier not in tiers:
        known = _known("Tiers", tiers) if tiers else "The matrix has no tiers."
        yield f'Unknown tier "{tier}". {_question(tier, [*tiers])}{known}'


def _question(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    return f'Did you mean "{near}"? ' if near else ""


def _known(title: str, names: Iterable[str]) -> str:
    return f"{title}: {listed(names)}."


def _available(cells: Sequence[Cell]) -> str:
    return _known("Available cells", (cell.id for cell in cells))


def _no_match(cells: Sequence[Cell], selection: Selection) -> str:
    if not cells:
        return "The matrix has no cells."
    return f"No cell matches {_conditions(selection)}. {_available(cells)}"


def _conditions(selection: Selection) -> str:
    """Return the conditions of a selection in words, such as `numpy=1.x and tier nightly`."""
    axes = [f"{axis}={' or '.join(words)}" for axis, words in selection.axes.items() if words]
    globs = [" or ".join(f'"{glob}"' for glob in selection.cells)] if selection.cells else []
    tier = [f"tier {selection.tier}"] if selection.tier is not None else []
    return " and ".join([*axes, *globs, *tier])
