"""The compatibility table in the terminal, with the versions and the verdict above it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from matrixci.reports.cell_words import (
    axis_label,
    cell_counts,
    column_title,
    is_reused,
    line,
    row_note,
    run_title,
)
from matrixci.reports.grid import grid
from matrixci.reports.grouping import counted
from matrixci.reports.symbols import CELL_GLYPHS, STYLES
from matrixci.util.text import several
from matrixci.verdict.judged import JudgedCell, JudgedRun, Verdict
from matrixci.verdict.versions import headline_versions

_LABEL_WIDTH: Final = 32
_ENTRY_WIDTH: Final = 20
_NOTE_WIDTH: Final = 32
_GAP: Final = 3
_MOST_ROWS: Final = 200


def render_matrix(judged: JudgedRun) -> RenderableType:
    """Return the versions, the verdict and the table of cells."""
    return Group(header(judged), headline(judged), "", matrix(judged))


def header(judged: JudgedRun) -> Text:
    """Return the title of the run: versions, day and tier."""
    return Text(line(run_title(judged)), style="bold")


def headline(judged: JudgedRun) -> Text:
    """Return the verdict and the number of cells with each outcome, in one line."""
    style = "bold green" if judged.verdict is Verdict.READY else "bold red"
    text = Text(str(judged.verdict), style=style)
    return text.append(
        f"  {several(len(judged.cells), 'cell')}: {counted(judged)}", style="default"
    )


def matrix(judged: JudgedRun) -> RenderableType:
    """Return the table of cells: the last axis across, the others down.

    If the terminal is too narrow, the columns are split into blocks, one below the other.
    """
    return _Matrix(judged)


@dataclass(frozen=True, kw_only=True)
class _Row:
    labels: tuple[str, ...]
    entries: Mapping[str, Text]
    """column to the text of the cell"""
    note: str


class _Matrix:
    """The table of cells, which adapts to the width of the console."""

    def __init__(self, judged: JudgedRun) -> None:
        cells = grid(judged)
        versions = headline_versions(judged)
        self._axis = line([*judged.run.axes][-1])
        self._titles = {
            value: column_title(judged, value, column) for value, column in cells.columns.items()
        }
        self._rows = [
            _Row(
                labels=tuple(
                    _label(axis, value) for axis, value in zip(cells.down, key, strict=True)
                ),
                entries={value: _entry(cell) for value, cell in row.items()},
                note=line(row_note(judged, row, versions)),
            )
            for key, row in islice(cells.rows.items(), _MOST_ROWS)
        ]
        self._left_out = len(cells.rows) - len(self._rows)
        self._labels = [
            min(max((cell_len(row.labels[index]) for row in self._rows), default=0), _LABEL_WIDTH)
            for index in range(len(cells.down))
        ]
        self._natural = {value: self._width_of(value) for value in self._titles}
        self._note = max((cell_len(row.note) for row in self._rows), default=0)

    def _width_of(self, column: str) -> int:
        """Return the width at which a column needs no wrapping."""
        entries = [row.entries[column] for row in self._rows if column in row.entries]
        titles = [self._axis, self._titles[column]]
        return max(*map(cell_len, titles), *(entry.cell_len for entry in entries), 0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its blocks followed by the notes on the rows."""
        room = options.max_width - sum(width + _GAP for width in self._labels)
        blocks = self._blocks(room)
        taken = sum(self._least(column) + _GAP for column in blocks[0])
        notes_fit = len(blocks) == 1 and room - taken >= min(self._note, _NOTE_WIDTH)
        for index, columns in enumerate(blocks):
            if index:
                yield Text("")
            yield self._table(columns, room, noted=notes_fit)
        if not notes_fit:
            yield from self._notes()
        if self._left_out:
            yield Text(f"… and {self._left_out} more rows; the JSON report lists all of them")

    def _least(self, column: str) -> int:
        """Return the minimum width of a column."""
        return min(self._natural[column], _ENTRY_WIDTH)

    def _blocks(self, room: int) -> list[list[str]]:
        """Split the columns into blocks that fit the width."""
        blocks: list[list[str]] = [[]]
        left = room
        for column in self._titles:
            needed = self._least(column) + _GAP
            if needed > left and blocks[-1]:
                blocks.append([])
                left = room
            blocks[-1].append(column)
            left -= needed
        return blocks

    def _widths(self, columns: Sequence[str], room: int) -> dict[str, int]:
        """Distribute the width among columns, widening the narrowest first."""
        widths = {column: self._least(column) for column in columns}
        for _ in range(room - sum(width + _GAP for width in widths.values())):
            wrapped = [column for column in columns if widths[column] < self._natural[column]]
            if not wrapped:
                break
            widths[min(wrapped, key=widths.__getitem__)] += 1
        return widths

    def _table(self, columns: Sequence[str], room: int, *, noted: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for width in self._labels:
            # Labels are never wrapped, since a row is useless without them.
            table.add_column(width=width, no_wrap=True)
        note = min(self._note, _NOTE_WIDTH) if noted else 0
        widths = self._widths(columns, room - note)
        for index, column in enumerate(columns):
            # The axis is on a line above the titles.
            title = self._titles[column] if index else f"{self._axis}\n{self._titles[column]}"
            table.add_column(Text(title), width=widths[column])
        if noted:
            left = room - sum(width + _GAP for width in widths.values())
            table.add_column("", width=min(self._note, left))
        shown_first = ""
        for row in self._rows:
            labels = list(row.labels)
            if labels and labels[0] == shown_first:
                labels[0] = ""
            shown_first = row.labels[0] if row.labels else ""
            entries = [row.entries.get(column, Text("")) for column in columns]
            table.add_row(*map(Text, labels), *entries, *([Text(row.note)] if noted else []))
        return table

    def _notes(self) -> Iterator[Text]:
        """Yield the notes on rows as lines, each with the labels of its rows."""
        rows: dict[str, list[str]] = {}
        for row in self._rows:
            if row.note:
                rows.setdefault(row.note, []).append(" ".join(row.labels))
        for note, where in rows.items():
            named = line(", ".join(filter(None, where)))
            yield Text(f"{named}: {note}" if named else note)


def _label(axis: str, value: str) -> str:
    return line(axis_label(axis, value))


def _entry(cell: JudgedCell) -> Text:
    text = Text(f"{CELL_GLYPHS[cell.outcome]} {cell_counts(cell)}", style=STYLES[cell.outcome])
    if is_reused(cell):
        text.append(" ↺ reused", style="dim")
    return text
