"""The compatibility table in the terminal: what is seen at one look."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrixci.glyphs import CELL_GLYPHS, STYLES
from matrixci.headline import headline_versions, occasion, tracked
from matrixci.judged import JudgedCell, JudgedRun, Verdict
from matrixci.model import CellOutcome, CheckOutcome, Need
from matrixci.reports.escape import cut, visible
from matrixci.reports.grid import grid
from matrixci.reports.groups import counted, failing_counts, is_told_by_checks
from matrixci.wording import several

NEEDS: Final = {Need.GPU: "a GPU"}
_LABEL_WIDTH: Final = 32
_MOST_ROWS: Final = 200
_LINE: Final = 500


def line(text: str) -> str:
    """Return text of unknown origin as part of one line, cut where it is very long."""
    return visible(cut(text, _LINE))


def render_matrix(judged: JudgedRun) -> RenderableType:
    """Return what is seen at one look: versions, verdict and the matrix itself."""
    return Group(header(judged), headline(judged), "", matrix(judged))


def header(judged: JudgedRun) -> Text:
    """Return the versions that most cells have, the day and the tier."""
    return Text(line(title(judged)), style="bold")


def title(judged: JudgedRun) -> str:
    """Return the versions that most cells have, the day and the tier, as they came."""
    versions = headline_versions(judged)
    names = [f"{name} {version}" for name, version in versions.items()]
    return " · ".join([*(names or [judged.run.subject.spec]), occasion(judged.run)])


def headline(judged: JudgedRun) -> Text:
    """Return the verdict in a line, with what the cells came to."""
    style = "bold green" if judged.verdict is Verdict.READY else "bold red"
    text = Text(str(judged.verdict), style=style)
    return text.append(
        f"  {several(len(judged.cells), 'cell')}: {counted(judged)}", style="default"
    )


def matrix(judged: JudgedRun) -> RenderableType:
    """Return the cells: the last axis across, the others down."""
    laid = grid(judged)
    down, rows = laid.down, laid.rows
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, axis in enumerate(down):
        # A narrow terminal folds the figures: without its labels a row says nothing.
        width = max((len(_label(axis, value)) for value in {key[index] for key in rows}), default=0)
        table.add_column(min_width=min(width, _LABEL_WIDTH), no_wrap=True)
    for value, column in laid.columns.items():
        table.add_column(Text(column_title(judged, value, column)))
    table.add_column("")
    versions = headline_versions(judged)
    shown_first = ""
    for key, cells in islice(rows.items(), _MOST_ROWS):
        labels = [_label(axis, value) for axis, value in zip(down, key, strict=True)]
        first = labels[0] if labels else ""
        labels[:1] = ["" if first == shown_first else first] if labels else []
        shown_first = first
        heads = [Text(label) for label in labels]
        entries = [_entry(cells[value]) if value in cells else Text("") for value in laid.columns]
        note = row_note(judged, cells, versions)
        table.add_row(*heads, *entries, Text(line(note)))
    if (more := len(rows) - _MOST_ROWS) > 0:
        return Group(table, Text(f"… and {more} more rows; the JSON report has all of them"))
    return table


def _label(axis: str, value: str) -> str:
    return line(label(axis, value))


def label(axis: str, value: str) -> str:
    """Return how a value of an axis is called in a table, as it came."""
    return f"py{value}" if axis == "python" else f"{axis} {value}"


def column_title(judged: JudgedRun, value: str, cells: Sequence[JudgedCell]) -> str:
    """Return the title of a column, which says where the engine has no GPU for its cells."""
    if cells and judged.run.had_no_gpu and all(cell.cell.gpu for cell in cells):
        return line(f"{value} (no GPU on this engine)")
    return line(value)


def _entry(cell: JudgedCell) -> Text:
    text = Text(f"{CELL_GLYPHS[cell.outcome]} {count_words(cell)}", style=STYLES[cell.outcome])
    if is_reused(cell):
        text.append(" ↺ reused", style="dim")
    return text


def is_reused(cell: JudgedCell) -> bool:
    """Tell whether a cell's result is an earlier run's, which still holds."""
    return cell.result is not None and cell.result.reused_from is not None


def count_words(cell: JudgedCell) -> str:
    """Say in words and figures what a cell came to, and after how many attempts where not one."""
    words = _outcome_words(cell)
    attempts = cell.result.attempts if cell.result else 1
    return words if attempts == 1 else f"{words} · {attempts} attempts"


def _outcome_words(cell: JudgedCell) -> str:
    if cell.outcome is CellOutcome.FAILED and not is_told_by_checks(cell):
        return f"{cell.outcome}: {cell.reason}"
    if not cell.checks:
        return str(cell.outcome)
    parts = [f"{cell.count(CheckOutcome.PASSED, CheckOutcome.FIXED)} passed"]
    parts += failing_counts(cell)
    needs = Counter(check.need for check in cell.unmet if check.need is not None)
    parts += [f"{count} need {NEEDS[need]}" for need, count in needs.items()]
    if skipped := cell.count(CheckOutcome.SKIPPED) - needs.total():
        parts.append(f"{skipped} skipped")
    return ", ".join(parts)


def row_note(
    judged: JudgedRun, cells: Mapping[str, JudgedCell], versions: Mapping[str, str]
) -> str:
    """Say where a row's versions differ from the headline's, or why it can't be had.

    What is not true of the whole row is preceded by the columns that it is true of.

    Args:
        judged: the run.
        cells: the row's cells by their columns.
        versions: the headline's.
    """
    if all(cell.outcome is CellOutcome.UNSATISFIABLE for cell in cells.values()):
        return "; ".join(sorted({cell.message for cell in cells.values()}))
    across = [*judged.run.axes][-1]
    columns: dict[str, list[str]] = {}
    for value, cell in cells.items():
        for remark in _differing(judged, cell, versions):
            columns.setdefault(remark, []).append(value)
    by_columns: dict[str, list[str]] = {}
    for remark, values in columns.items():
        whole = len(values) == len(cells)
        where = "" if whole else ", ".join(label(across, value) for value in values)
        by_columns.setdefault(where, []).append(remark)
    # What is true of the whole row is first: after a column it would be read as that column's.
    told = sorted(by_columns.items(), key=lambda item: item[0] != "")
    return "; ".join(
        f"{where}: {', '.join(remarks)}" if where else ", ".join(remarks) for where, remarks in told
    )


def _differing(judged: JudgedRun, cell: JudgedCell, versions: Mapping[str, str]) -> Iterator[str]:
    """Yield the versions of a cell that differ from the headline's, with the reason."""
    if cell.result is None or cell.result.lock is None:
        return
    locked = cell.result.lock.versions
    why = judged.run.older.get(cell.cell.id, {})
    for name in tracked(judged.run):
        if locked.get(name, versions.get(name)) != versions.get(name):
            reason = why.get(name)
            yield f"{name} {locked[name]}" + (f" ({reason})" if reason else "")
