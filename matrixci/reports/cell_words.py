"""The words for cells, rows and columns that the terminal, Markdown and issues share."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from matrixci.model import CellOutcome, CheckOutcome, Need
from matrixci.outcomes import PASSING
from matrixci.reports.escape import cut, visible
from matrixci.reports.grouping import failing_counts, is_explained_by_checks
from matrixci.verdict.judged import JudgedCell, JudgedRun
from matrixci.verdict.versions import occasion, release_of, shown_versions, tracked

_NEEDS: Final = {Need.GPU: "a GPU"}
_LONGEST_LINE: Final = 500


def line(text: str) -> str:
    """Return untrusted text as part of one line, cut if it is very long."""
    return visible(cut(text, _LONGEST_LINE))


def run_title(judged: JudgedRun) -> str:
    """Return the versions that the cells have, the day and the tier, without escaping."""
    versions = shown_versions(judged)
    names = [f"{name} {version}" for name, version in versions.items()]
    return " · ".join([*(names or [judged.run.subject.spec]), occasion(judged.run)])


def axis_label(axis: str, value: str) -> str:
    """Return the label of an axis value in a table, such as "py3.12" or "numpy 2.x"."""
    return f"py{value}" if axis == "python" else f"{axis} {value}"


def column_title(judged: JudgedRun, value: str, cells: Sequence[JudgedCell]) -> str:
    """Return the title of a column, which says if the engine has no GPU for its cells."""
    if cells and judged.run.had_no_gpu and all(cell.cell.gpu for cell in cells):
        return line(f"{value} (no GPU on this engine)")
    return line(value)


def is_reused(cell: JudgedCell) -> bool:
    """Return whether a cell's result comes from an earlier run."""
    return cell.result is not None and cell.result.reused_from is not None


def cell_counts(cell: JudgedCell) -> str:
    """Return the outcome of a cell in words: its checks by outcome, and its attempts if several."""
    words = _check_counts(cell)
    attempts = cell.result.attempts if cell.result else 1
    return words if attempts == 1 else f"{words} · {attempts} attempts"


def _check_counts(cell: JudgedCell) -> str:
    if cell.outcome is CellOutcome.FAILED and not is_explained_by_checks(cell):
        return f"{cell.outcome}: {cell.reason}"
    if not cell.checks:
        return str(cell.outcome)
    parts = [f"{cell.count(*PASSING)} passed"]
    parts += failing_counts(cell)
    needs = Counter(check.need for check in cell.unmet if check.need is not None)
    parts += [
        f"{count} {'needs' if count == 1 else 'need'} {_NEEDS[need]}"
        for need, count in needs.items()
    ]
    if skipped := cell.count(CheckOutcome.SKIPPED) - needs.total():
        parts.append(f"{skipped} skipped")
    return ", ".join(parts)


def row_note(
    judged: JudgedRun, cells: Mapping[str, JudgedCell], versions: Mapping[str, str]
) -> str:
    """Describe where a row's versions differ from the headline's, or why it is unsatisfiable.

    A remark that applies to some columns only is preceded by their labels.

    Args:
        judged: the run.
        cells: the row's cells by column.
        versions: the headline's versions.
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
        where = "" if whole else ", ".join(axis_label(across, value) for value in values)
        by_columns.setdefault(where, []).append(remark)
    # Remarks on the whole row come first, or they would seem to belong to the column before them.
    ordered = sorted(by_columns.items(), key=lambda item: item[0] != "")
    return "; ".join(
        f"{where}: {', '.join(remarks)}" if where else ", ".join(remarks)
        for where, remarks in ordered
    )


def _differing(judged: JudgedRun, cell: JudgedCell, versions: Mapping[str, str]) -> Iterator[str]:
    """Yield the versions of a cell that differ from the headline's, with the reason."""
    if cell.result is None or cell.result.lock is None:
        return
    locked = cell.result.lock.versions
    why = judged.run.older.get(cell.cell.id, {})
    for name in tracked(judged.run):
        if name in locked and release_of(locked[name]) != release_of(versions.get(name, "")):
            reason = why.get(name)
            yield f"{name} {locked[name]}" + (f" ({reason})" if reason else "")
