"""The Markdown report, for pull requests and job summaries.

GitHub drops a summary that exceeds 1 MiB, so each section has a limit. What exceeds the limit is
counted, with a reference to the JSON report.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from matrixci.model import CellOutcome
from matrixci.outcomes import outcome_words
from matrixci.reports.blocker_summaries import blocker_summaries
from matrixci.reports.cell_words import (
    axis_label,
    cell_counts,
    column_title,
    is_reused,
    row_note,
    run_title,
)
from matrixci.reports.change_groups import ChangeGroup, change_groups, metric_groups, package_groups
from matrixci.reports.escape import (
    cut,
    markdown,
    markdown_block,
    markdown_cell_code,
    markdown_code,
)
from matrixci.reports.grid import grid
from matrixci.reports.grouping import (
    CellGroup,
    CheckGroup,
    counted,
    failures,
    merge_similar,
    other_cells,
    warnings,
)
from matrixci.reports.known import KnownRow, known_rows
from matrixci.reports.provenance import environment, reproduce_all
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS
from matrixci.util.text import several
from matrixci.verdict.judged import Gate, GateOutcome, JudgedCell, JudgedRun
from matrixci.verdict.reproduce_command import of_check
from matrixci.verdict.versions import headline_versions

LIMIT: Final = 1024 * 1024
"""Maximum size of a job summary on GitHub, in bytes."""

# One table, two large and nine small sections need 980 KiB. The rest is for headings.
_TABLE: Final = 240 * 1024
_LARGE: Final = 190 * 1024
_SMALL: Final = 40 * 1024
_OPENING: Final = 5
_NAMED: Final = 5
_LINE: Final = 500
_BLOCK: Final = 4000
Item = TypeVar("Item")
_GATES: Final = {GateOutcome.MET: "✓", GateOutcome.UNMET: "✗", GateOutcome.UNVERIFIED: "?"}


def render(report: Report) -> str:
    """Return the report as a document of less than 1 MiB."""
    judged = report.judged
    sections = [
        _opening(report),
        _matrix(judged),
        _section("More blockers", _further(judged.reasons), _item, _SMALL),
        _section("Not green", _groups(judged), _explained, _LARGE),
        _section("Warnings", warnings(judged), _warned, _SMALL),
        comparison_section(judged),
        _known(judged),
        _gates(judged),
        _section("Not verified", judged.unverified, _item, _SMALL),
        _section("Notes", judged.remarks, _item, _SMALL),
        _environment(report),
    ]
    return "\n".join(section for section in sections if section)


def _item(text: str) -> str:
    return f"- {markdown(cut(text, _LINE))}\n"


def _section(
    heading: str, items: Sequence[Item], form: Callable[[Item], str], most: int, *, begin: str = ""
) -> str:
    """Return a section of at most `most` bytes, which counts the items left out."""
    shown, used = [], len(begin.encode())
    for item in items:
        text = form(item)
        used += len(text.encode())
        if used > most:
            break
        shown.append(text)
    if not items:
        return ""
    left_out = len(items) - len(shown)
    more = f"\n*… and {left_out} more; the JSON report lists all of them.*\n" if left_out else ""
    return f"## {heading}\n\n{begin}{''.join(shown)}{more}"


def _opening(report: Report) -> str:
    judged = report.judged
    lines = [f"# {judged.verdict}: {markdown(cut(run_title(judged), _LINE))}", ""]
    lines += [f"**{several(len(judged.cells), 'cell')}: {counted(judged)}**", ""]
    reasons = [summary.line for summary in blocker_summaries(report)]
    shown = reasons if len(reasons) <= _OPENING else reasons[: _OPENING - 1]
    lines += [f"- {markdown(cut(reason, _LINE))}" for reason in shown]
    if (more := len(reasons) - len(shown)) > 0:
        lines.append(f"- and {more} more, below the table")
    return "\n".join(lines) + "\n"


def _further(reasons: Sequence[str]) -> Sequence[str]:
    """Return the blockers that the opening leaves out."""
    return reasons[_OPENING - 1 :] if len(reasons) > _OPENING else ()


def _matrix(judged: JudgedRun) -> str:
    table = grid(judged)
    versions = headline_versions(judged)
    across = [*judged.run.axes][-1]
    titles = [
        f"{across} {column_title(judged, value, column)}" for value, column in table.columns.items()
    ]
    heads = [*table.down, *titles, ""]

    def row(item: tuple[tuple[str, ...], Mapping[str, JudgedCell]]) -> str:
        key, cells = item
        labels = [axis_label(axis, value) for axis, value in zip(table.down, key, strict=True)]
        entries = [_entry(cells[value]) if value in cells else "" for value in table.columns]
        note = row_note(judged, cells, versions)
        return _row([*map(markdown, labels), *entries, markdown(cut(note, _LINE))])

    begin = _row(map(markdown, heads)) + _row("---" for _ in heads)
    return _section("Cells", list(table.rows.items()), row, _TABLE, begin=begin)


def _row(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |\n"


def _entry(cell: JudgedCell) -> str:
    reused = " ↺ reused" if is_reused(cell) else ""
    return f"{CELL_GLYPHS[cell.outcome]} {markdown(cell_counts(cell))}{reused}"


def _groups(judged: JudgedRun) -> list[CheckGroup | CellGroup]:
    return [*merge_similar(failures(judged)), *other_cells(judged)]


def _explained(group: CheckGroup | CellGroup) -> str:
    first = group.cells[0]
    match group:
        case CheckGroup(check=check):
            head = f"{CHECK_GLYPHS[check.outcome]} {markdown(cut(check.claim, _LINE))}"
            what = f"{check.outcome} in {_where(group)}: {_code(check.id)}{group.more}"
            message = "\n".join(filter(None, (check.reason, check.message)))
            command = of_check(first.reproduce, check.id)
        case _:
            head = f"{CELL_GLYPHS[group.outcome]} {outcome_words(group.outcome, group.reason)}"
            what = _where(group)
            message = group.message
            command = first.reproduce
            if group.outcome is CellOutcome.UNSATISFIABLE:
                command = ()
    parts = [f"### {head}", what]
    parts += [markdown_block(cut(message, _BLOCK))] if message else []
    parts += [f"Reproduce: {markdown_code(shlex.join(command))}"] if command else []
    return "\n\n".join(parts) + "\n\n"


def _warned(group: CheckGroup) -> str:
    check = group.check
    reason = markdown(cut(check.reason or check.message.partition("\n")[0], _LINE))
    return f"- {_code(check.id)} {check.outcome} in {_where(group)}: {reason}\n"


def _code(text: str) -> str:
    return markdown_code(cut(text, _LINE))


def _where(group: CheckGroup | CellGroup) -> str:
    if group.scope:
        return markdown(cut(group.scope, _LINE))
    return _named([cell.cell.id for cell in group.cells])


def _named(ids: Sequence[str]) -> str:
    named = ", ".join(markdown_code(one) for one in ids[:_NAMED])
    more = len(ids) - _NAMED
    return named + (f" and {several(more, 'more cell')}" if more > 0 else "")


def comparison_section(judged: JudgedRun) -> str:
    """Return the changes against the baseline, those for the worse first."""
    comparison = judged.comparison
    if comparison is None:
        return ""
    title = (
        f"Changes since {comparison.before} ({comparison.before_subject}, "
        f"{comparison.before_day}, {comparison.before_verdict})"
    )
    heading = markdown(cut(title, _LINE))
    groups = change_groups(comparison)
    sections = (
        _section(heading, groups, _change, _LARGE),
        _section("Changed packages", package_groups(comparison), _in_cells, _SMALL),
        _section("Changed metrics", metric_groups(comparison), _in_cells, _SMALL),
    )
    if not groups:
        sections = (f"## {heading}\n\nNo changes.\n", *sections[1:])
    return "\n".join(section for section in sections if section)


def _change(group: ChangeGroup) -> str:
    mark = "**" if group.worse else ""
    what = _code(group.check) if group.check is not None else "the cell"
    where = _named([cell.cell for cell in group.cells])
    head = f"- {mark}{group.change}{mark}: {what}, {group.words}, in {where}\n"
    # One of these probably caused the change.
    packages = ", ".join(group.packages) if group.worse else ""
    return f"{head}  - packages: {markdown(cut(packages, _BLOCK))}\n" if packages else head


def _in_cells(group: tuple[str, list[str]]) -> str:
    words, cells = group
    return f"- {markdown(cut(words, _BLOCK))}: in {_named(cells)}\n"


def _known(judged: JudgedRun) -> str:
    begin = _row(["known issue", "expires", "excuses", "reason"]) + _row(["---"] * 4)

    def row(issue: KnownRow) -> str:
        mark = "**" if issue.expired else ""
        reference, reason = (markdown(cut(text, _LINE)) for text in (issue.reference, issue.reason))
        return _row([reference, f"{mark}{markdown(issue.expires)}{mark}", issue.excuses, reason])

    return _section("Known issues", known_rows(judged), row, _SMALL, begin=begin)


def _gates(judged: JudgedRun) -> str:
    begin = _row(["gate", "", "condition", "evidence"]) + _row(["---"] * 4)

    def row(gate: Gate) -> str:
        return _row(
            [
                markdown(gate.name),
                f"{_GATES[gate.outcome]} {gate.outcome}{'' if gate.required else ' (advisory)'}",
                markdown(cut(gate.asks, _LINE)),
                "; ".join(markdown(cut(line, _LINE)) for line in gate.evidence),
            ]
        )

    return _section("Gates", judged.gates, row, _SMALL, begin=begin)


def _environment(report: Report) -> str:
    begin = _row(["", ""]) + _row(["---"] * 2)
    facts = [*environment(report.judged), ("files", report.folder)]
    rows = [_row([name, markdown(cut(value, _LINE))]) for name, value in facts]
    command = markdown_cell_code(cut(reproduce_all(report.judged), _BLOCK))
    rows.append(_row(["reproduce", command]))
    return _section("Environment", rows, str, _SMALL, begin=begin)
