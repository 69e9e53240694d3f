"""The cells of a matrix, and the choice of some of them."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from matrixci.errors import UsageError
from matrixci.matrix.axes import PYTHON
from matrixci.matrix.combinations import Combination, Rules, cell_id, matches
from matrixci.matrix.definition import Matrix
from matrixci.matrix.validators import PYTHON_PLACE
from matrixci.model import Cell
from matrixci.util.text import listed, nearest

_NO_IDS: Final[Mapping[str, Mapping[str, str]]] = {}
_NO_TIERS: Final[Mapping[str, Rules]] = {}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which cells are wanted; what is left empty wants all."""

    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis to the names, or the ids, of the values that are wanted."""
    cells: tuple[str, ...] = ()
    """Globs over cell ids; a cell that one of them matches is wanted."""
    tier: str | None = None
    """The name of a tier; a cell that one of its rules matches is wanted."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The cells that a command asks for, and those it leaves out."""

    cells: tuple[Cell, ...]
    unselected: tuple[Cell, ...]
    tier: str | None = None
    """The name of the tier, where one was asked for."""


def choose(matrix: Matrix, selection: Selection) -> Chosen:
    """Return the cells that a selection leaves of a matrix.

    Raises:
        UsageError: the selection matches nothing.
    """
    every = expand(matrix)
    cells = select(every, selection, matrix.value_ids(), matrix.tiers)
    wanted = {cell.id for cell in cells}
    return Chosen(
        cells=cells,
        unselected=tuple(cell for cell in every if cell.id not in wanted),
        tier=selection.tier,
    )


def expand(matrix: Matrix) -> tuple[Cell, ...]:
    """Return the cells of a matrix in the table's order: the last axis changes fastest."""
    return tuple(_cell(matrix, combination) for combination in matrix.combinations())


def _cell(matrix: Matrix, combination: Combination) -> Cell:
    values = [matrix.axes[axis][name] for axis, name in combination.items()]
    python = combination[PYTHON]
    environment = dict(matrix.environment)
    for value in values:
        environment |= value.environment
    requires = [*matrix.requires, *(each for value in values for each in value.requires)]
    bases = [value.base.replace(PYTHON_PLACE, python) for value in values if value.base is not None]
    backends = [value.torch_backend for value in values if value.torch_backend is not None]
    return Cell(
        id=cell_id(matrix.axes, combination),
        axes=combination,
        python=python,
        requires=tuple(dict.fromkeys(requires)),
        environment=environment,
        torch_backend=next(iter(backends), None),
        base=next(iter(bases), None),
        gpu=any(value.gpu for value in values),
        imports=matrix.imports,
    )


def select(
    cells: Sequence[Cell],
    selection: Selection,
    ids: Mapping[str, Mapping[str, str]] = _NO_IDS,
    tiers: Mapping[str, Rules] = _NO_TIERS,
) -> tuple[Cell, ...]:
    """Return the cells that are wanted, in the order in which they came.

    Args:
        cells: all cells of a matrix.
        selection: what is wanted; the axes, the globs and the tier must all agree to a cell.
        ids: Matrix.value_ids(), so that a value is known by its id, too.
        tiers: those of the matrix: name to rules.

    Raises:
        UsageError: an axis, a value, a glob, a tier or all of them together match nothing; every
            such one is named, with what there is.
    """
    wanted = {
        axis: tuple(_name(ids.get(axis, {}), word) for word in words)
        for axis, words in selection.axes.items()
    }
    problems = [
        *_axis_problems(cells, wanted, ids),
        *_glob_problems(cells, selection.cells),
        *_tier_problems(selection.tier, tiers),
    ]
    chosen = tuple(
        cell
        for cell in cells
        if all(not names or cell.axes.get(axis) in names for axis, names in wanted.items())
        and (not selection.cells or any(_globbed(cell, glob) for glob in selection.cells))
        and (selection.tier is None or _in_tier(cell, tiers.get(selection.tier, ())))
    )
    if not chosen and not problems:
        problems = [f"No cell is all of this at once: {_shown(selection)}. {_there_are(cells)}"]
    if problems:
        raise UsageError("\n".join(problems))
    return chosen


def _name(ids: Mapping[str, str], word: str) -> str:
    """Return the name of the value that a word names; a name goes before an id."""
    by_id = {made: name for name, made in ids.items()}
    return word if word in ids else by_id.get(word, word)


def _globbed(cell: Cell, glob: str) -> bool:
    return fnmatch.fnmatchcase(cell.id, glob)


def _in_tier(cell: Cell, rules: Rules) -> bool:
    return any(matches(rule, cell.axes) for rule in rules)


def _axis_problems(
    cells: Sequence[Cell],
    wanted: Mapping[str, Sequence[str]],
    ids: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    axes = list(dict.fromkeys(axis for cell in cells for axis in cell.axes))
    for axis, words in wanted.items():
        if axis not in axes:
            yield f'There is no axis "{axis}". {_question(axis, axes)}There is {listed(axes)}.'
            continue
        names = list(dict.fromkeys(cell.axes[axis] for cell in cells))
        known = [*names, *(ids.get(axis, {}).get(name, name) for name in names)]
        for word in words:
            if word not in names:
                question = _question(word, known)
                yield f'{axis}: no cell has the value "{word}". {question}There is {listed(names)}.'


def _glob_problems(cells: Sequence[Cell], globs: Sequence[str]) -> Iterator[str]:
    for glob in globs:
        if not any(_globbed(cell, glob) for cell in cells):
            question = _question(glob, [cell.id for cell in cells])
            yield f'No cell matches "{glob}". {question}{_there_are(cells)}'


def _tier_problems(tier: str | None, tiers: Mapping[str, Rules]) -> Iterator[str]:
    if tier is not None and tier not in tiers:
        there_is = f"There is {listed(tiers)}." if tiers else "The matrix has no tiers."
        yield f'There is no tier "{tier}". {_question(tier, [*tiers])}{there_is}'


def _question(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    return f'Did you mean "{near}"? ' if near else ""


def _there_are(cells: Sequence[Cell]) -> str:
    return f"There is {listed(cell.id for cell in cells) or 'no cell at all'}."


def _shown(selection: Selection) -> str:
    axes = [f"{axis} {' or '.join(words)}" for axis, words in selection.axes.items() if words]
    globs = [" or ".join(selection.cells)] if selection.cells else []
    tier = [f"tier {selection.tier}"] if selection.tier is not None else []
    return ", ".join([*axes, *globs, *tier])
