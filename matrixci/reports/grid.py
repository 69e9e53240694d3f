"""The cells of a run in rows and columns: the last axis across, the others down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrixci.verdict.judged import JudgedCell, JudgedRun


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The rows and columns that have at least one cell."""

    down: Sequence[str]
    """The axes that name the rows."""
    columns: Mapping[str, Sequence[JudgedCell]]
    """Value of the last axis to the cells of its column, in the order of the matrix."""
    rows: Mapping[tuple[str, ...], Mapping[str, JudgedCell]]
    """Values of the other axes to the cells of the row, by column."""


def grid(judged: JudgedRun) -> Grid:
    """Arrange the cells of a run in rows and columns."""
    *down, across = judged.run.axes
    by_column: dict[str, list[JudgedCell]] = {}
    rows: dict[tuple[str, ...], dict[str, JudgedCell]] = {}
    for cell in judged.cells:
        value = cell.cell.axes[across]
        by_column.setdefault(value, []).append(cell)
        rows.setdefault(tuple(cell.cell.axes[axis] for axis in down), {})[value] = cell
    columns = {value: by_column[value] for value in judged.run.axes[across] if value in by_column}
    return Grid(down=down, columns=columns, rows=rows)
