"""The cells of a run laid out: the last axis across, the others down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrixci.verdict.judged import JudgedCell, JudgedRun


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows and columns, of which only those are there that have a cell."""

    down: Sequence[str]
    """The axes that name the rows."""
    columns: Mapping[str, Sequence[JudgedCell]]
    """Value of the axis across to its cells, in the matrix's order."""
    rows: Mapping[tuple[str, ...], Mapping[str, JudgedCell]]
    """Values of the axes down to the row's cells, each by its column."""


def grid(judged: JudgedRun) -> Grid:
    """Return the cells of a run laid out."""
    *down, across = judged.run.axes
    by_column: dict[str, list[JudgedCell]] = {}
    rows: dict[tuple[str, ...], dict[str, JudgedCell]] = {}
    for cell in judged.cells:
        value = cell.cell.axes[across]
        by_column.setdefault(value, []).append(cell)
        rows.setdefault(tuple(cell.cell.axes[axis] for axis in down), {})[value] = cell
    columns = {value: by_column[value] for value in judged.run.axes[across] if value in by_column}
    return Grid(down=down, columns=columns, rows=rows)
