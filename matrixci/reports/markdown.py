"""The report in Markdown: for a release's pull request and for a job's summary.

GitHub drops a summary of more than 1 MiB whole, so each section has its share of bytes; what goes
beyond it is counted, and the reader is told where it is.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from matrixci.glyphs import CELL_GLYPHS, CHECK_GLYPHS
from matrixci.headline import headline_versions
from matrixci.judged import CellChange, GateOutcome, JudgedCell, JudgedRun, KnownFailure
from matrixci.model import CellOutcome
from matrixci.reports.environment import environment, reproduce_all
from matrixci.reports.escape import (
    cut,
    markdown,
    markdown_block,
    markdown_cell_code,
    markdown_code,
)
from matrixci.reports.groups import (
    CellGroup,
    CheckGroup,
    change_words,
    counted,
    failures,
    in_order_of_weight,
    is_worse,
    other_cells,
    package_words,
    warnings,
)
from matrixci.reports.report import Report
from matrixci.reports.table import column_title, count_words, is_reused, label, row_note, title
from matrixci.reproduction import reproduction

LIMIT: Final = 1024 * 1024
"""Bytes of the largest summary that GitHub shows."""

_TABLE: Final = 280 * 1024
_LARGE: Final = 220 * 1024
_SMALL: Final = 48 * 1024
_OPENING: Final = 5
_NAMED: Final = 5
_LINE: Final = 500
_BLOCK: Final = 4000
_MOST_CHECKS: Final = 20
_GATES: Final = {GateOutcome.MET: "✓", GateOutcome.UNMET: "✗", GateOutcome.UNVERIFIED: "?"}


def render(report: Report) -> str:
    """Return the document; it is under 1 MiB, and says what is left out where it would not be."""
    judged = report.judged
    sections = [
        _opening(judged),
        _matrix(judged),
        _section("Not green", map(_explained, _groups(judged), _runs(judged)), _LARGE),
        _section("Warnings", map(_warned, warnings(judged)), _SMALL),
        comparison_section(judged),
        _known(judged.known),
        _gates(judged),
        _section("Not verified", map(_item, judged.unverified), _SMALL),
        _section("Remarks", map(_item, judged.remarks), _SMALL),
        _environment(report),
    ]
    return "\n".join(section for section in sections if section)


def _item(text: str) -> str:
    return f"- {markdown(cut(text, _LINE))}\n"


def _section(heading: str, items: Iterable[str], most: int, *, begin: str = "") -> str:
    """Return a section of at most so many bytes, with the count of what is left out."""
    shown, used, left_out = [], 0, 0
    for item in items:
        size = len(item.encode())
        if left_out or used + size > most:
            left_out += 1
        else:
            shown.append(item)
            used += size
    if not shown and not left_out:
        return ""
    told = f"\n*… and {left_out} more; the JSON report has all of them.*\n" if left_out else ""
    return f"## {heading}\n\n{begin}{''.join(shown)}{told}"


def _opening(judged: JudgedRun) -> str:
    lines = [f"# {judged.verdict}: {markdown(cut(title(judged), _LINE))}", ""]
    lines += [f"**{len(judged.cells)} cells: {counted(judged)}**", ""]
    lines += [f"- {markdown(cut(reason, _LINE))}" for reason in judged.reasons[:_OPENING]]
    if (more := len(judged.reasons) - _OPENING) > 0:
        lines.append(f"- and {more} more reasons")
    return "\n".join(lines) + "\n"


def _matrix(judged: JudgedRun) -> str:
    *down, across = judged.run.axes
    by_column: dict[str, list[JudgedCell]] = {}
    rows: dict[tuple[str, ...], dict[str, JudgedCell]] = {}
    for cell in judged.cells:
        value = cell.cell.axes[across]
        by_column.setdefault(value, []).append(cell)
        rows.setdefault(tuple(cell.cell.axes[axis] for axis in down), {})[value] = cell
    columns = [value for value in judged.run.axes[across] if value in by_column]
    versions = headline_versions(judged)
    heads = [*down, *(column_title(judged, value, by_column[value]) for value in columns), ""]

    def row(key: tuple[str, ...], cells: dict[str, JudgedCell]) -> str:
        labels = [label(axis, value) for axis, value in zip(down, key, strict=True)]
        entries = [_entry(cells[value]) if value in cells else "" for value in columns]
        note = row_note(judged, list(cells.values()), versions)
        return _row([*map(markdown, labels), *entries, markdown(cut(note, _LINE))])

    begin = _row(map(markdown, heads)) + _row("---" for _ in heads)
    return _section("Cells", (row(key, cells) for key, cells in rows.items()), _TABLE, begin=begin)


def _row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |\n"


def _entry(cell: JudgedCell) -> str:
    reused = " ↺ reused" if is_reused(cell) else ""
    return f"{CELL_GLYPHS[cell.outcome]} {markdown(count_words(cell))}{reused}"


def _groups(judged: JudgedRun) -> list[CheckGroup | CellGroup]:
    return [*failures(judged), *other_cells(judged)]


def _runs(judged: JudgedRun) -> Iterator[JudgedRun]:
    while True:
        yield judged


def _explained(group: CheckGroup | CellGroup, judged: JudgedRun) -> str:
    first = group.cells[0].cell.id
    match group:
        case CheckGroup(check=check):
            head = f"{CHECK_GLYPHS[check.outcome]} {markdown(cut(check.claim, _LINE))}"
            what = f"{check.outcome} in {_cells(group.cells)}: {_code(check.id)}"
            told = "\n".join(filter(None, (check.reason, check.message)))
            command = reproduction(judged.run, first, check.id)
        case CellGroup(outcome=outcome, reason=reason):
            head = f"{CELL_GLYPHS[outcome]} {outcome}" + (f" ({reason})" if reason else "")
            what = _cells(group.cells)
            told = group.message
            command = reproduction(judged.run, first)
            if outcome is CellOutcome.UNSATISFIABLE:
                command = ()
    parts = [f"### {head}", what]
    parts += [markdown_block(cut(told, _BLOCK))] if told else []
    parts += [f"Reproduce: {markdown_code(shlex.join(command))}"] if command else []
    return "\n\n".join(parts) + "\n\n"


def _warned(group: CheckGroup) -> str:
    check = group.check
    reason = markdown(cut(check.reason or check.message, _LINE))
    return f"- {_code(check.id)} {check.outcome} in {_cells(group.cells)}: {reason}\n"


def _code(text: str) -> str:
    return markdown_code(cut(text, _LINE))


def _cells(cells: Sequence[JudgedCell]) -> str:
    named = ", ".join(markdown_code(cell.cell.id) for cell in cells[:_NAMED])
    more = len(cells) - _NAMED
    return named + (f" and {more} more cells" if more > 0 else "")


def comparison_section(judged: JudgedRun) -> str:
    """Return what became of the baseline, what is worse first."""
    comparison = judged.comparison
    if comparison is None:
        return ""
    title = (
        f"Against {comparison.before} ({comparison.before_subject}, "
        f"{comparison.before_began:%Y-%m-%d}, {comparison.before_verdict})"
    )
    ordered = in_order_of_weight(comparison.cells)
    nothing = "" if ordered else "Every cell comes to the same, with the same packages.\n"
    items = [nothing] if nothing else map(_change, ordered)
    return _section(markdown(cut(title, _LINE)), items, _LARGE)


def _change(change: CellChange) -> str:
    words = "; ".join(change_words(change)) or "the same outcome"
    mark = "**" if is_worse(change) else ""
    lines = [f"- {mark}{markdown_code(change.cell)}: {markdown(words)}{mark}"]
    for check in change.checks[:_MOST_CHECKS]:
        outcomes = f"{check.before or 'absent'} to {check.after or 'absent'}"
        lines.append(f"  - {check.change}: {_code(check.check)} ({outcomes})")
    if (more := len(change.checks) - _MOST_CHECKS) > 0:
        lines.append(f"  - and {more} more checks")
    if change.packages:
        packages = ", ".join(package_words(change))
        lines.append(f"  - packages: {markdown(cut(packages, _BLOCK))}")
    for name, (before, after) in list(change.figures.items())[:_MOST_CHECKS]:
        lines.append(f"  - {_code(name)}: {before:g} to {after:g}")
    if (more := len(change.figures) - _MOST_CHECKS) > 0:
        lines.append(f"  - and {more} more figures")
    return "\n".join(lines) + "\n"


def _known(known: Sequence[KnownFailure]) -> str:
    begin = _row(["known issue", "expires", "excuses", "reason"]) + _row(["---"] * 4)
    rows = (
        _row(
            [
                markdown(cut(issue.reference, _LINE)),
                f"{markdown(issue.expires)}, in {issue.days_left} days",
                f"{len(issue.checks)} checks in {len(issue.cells)} cells",
                markdown(cut(issue.reason, _LINE)),
            ]
        )
        for issue in known
    )
    return _section("Known issues", rows, _SMALL, begin=begin)


def _gates(judged: JudgedRun) -> str:
    begin = _row(["gate", "", "asks", "evidence"]) + _row(["---"] * 4)
    rows = (
        _row(
            [
                markdown(gate.name),
                f"{_GATES[gate.outcome]} {gate.outcome}{'' if gate.required else ' (advisory)'}",
                markdown(cut(gate.asks, _LINE)),
                "; ".join(markdown(cut(line, _LINE)) for line in gate.evidence),
            ]
        )
        for gate in judged.gates
    )
    return _section("Gates", rows, _SMALL, begin=begin)


def _environment(report: Report) -> str:
    begin = _row(["", ""]) + _row(["---"] * 2)
    facts = [*environment(report.judged), ("files", report.folder)]
    rows = [_row([name, markdown(cut(value, _LINE))]) for name, value in facts]
    command = markdown_cell_code(cut(reproduce_all(report.judged), _BLOCK))
    return _section("Environment", [*rows, _row(["reproduce", command])], _SMALL, begin=begin)
