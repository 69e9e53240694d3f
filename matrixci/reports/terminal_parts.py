"""The sections of the terminal report below its table."""

import shlex
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrixci.model import CellOutcome, CheckOutcome
from matrixci.outcomes import PASSING, outcome_words
from matrixci.reports.cell_words import line
from matrixci.reports.change_groups import ChangeGroup, change_groups, metric_groups, package_groups
from matrixci.reports.escape import visible
from matrixci.reports.evidence_lines import key_lines
from matrixci.reports.grouping import (
    CellGroup,
    CheckGroup,
    count_words,
    failures,
    merge_similar,
    other_cells,
    tallies,
    warnings,
)
from matrixci.reports.known import known_rows
from matrixci.reports.provenance import environment, reproduce_all
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS, STYLES, WARNING_GLYPH
from matrixci.util.text import several
from matrixci.verdict.judged import GateOutcome, JudgedRun
from matrixci.verdict.reproduce_command import of_check

_SHOWN_CELLS: Final = 3
_SHOWN_LINES: Final = 5
_MOST: Final = 50
_FAILING_STYLE: Final = "bold red"
_GATES: Final = {
    GateOutcome.MET: ("✓", "green"),
    GateOutcome.UNMET: ("✗", "bold red"),
    GateOutcome.UNVERIFIED: ("?", "yellow"),
}


def explanations(judged: JudgedRun) -> Iterator[RenderableType]:
    """Yield an explanation of each failure, grouped across cells, and then the warnings."""
    groups: list[CheckGroup | CellGroup] = [*merge_similar(failures(judged)), *other_cells(judged)]
    for group in islice(groups, _MOST):
        first = group.cells[0]
        match group:
            case CheckGroup():
                yield _check_explanation(group)
                yield command(of_check(first.reproduce, group.check.id))
            case CellGroup():
                yield _cell_explanation(group)
                if group.outcome is not CellOutcome.UNSATISFIABLE:
                    yield command(first.reproduce)
        yield ""
    yield from _more(len(groups), "failures", "")
    for warned in islice(merge_similar(warnings(judged)), _MOST):
        yield _warning(warned)
        yield ""


def _more(total: int, what: str, *after: RenderableType) -> Iterator[RenderableType]:
    if total > _MOST:
        yield Text(f"… and {total - _MOST} more {what}; the JSON report lists all of them")
        yield from after


def _check_explanation(group: CheckGroup) -> Text:
    """Return a failing check with its message in the first of its cells."""
    glyph, outcome = CHECK_GLYPHS[group.check.outcome], str(group.check.outcome)
    return _check_block(group, Text(glyph, style=_FAILING_STYLE), outcome)


def _warning(group: CheckGroup) -> Text:
    """Return a failed check that is only a warning, with the symbol of warnings."""
    glyph = Text(WARNING_GLYPH, style="yellow")
    return _check_block(group, glyph, f"warning, {group.check.outcome}")


def _check_block(group: CheckGroup, text: Text, outcome: str) -> Text:
    check = group.check
    text.append(f" {line(check.claim)}")
    text.append(f"\n    {outcome} in {_where(group)}: ", style="default")
    text.append(line(f"{check.id}{group.more}"), style="dim")
    lines = [*check.reason.splitlines(), *check.message.splitlines()]
    return _append_lines(text, lines, key_lines(lines, _SHOWN_LINES))


def _cell_explanation(group: CellGroup) -> Text:
    """Return cells whose outcome no check explains."""
    style = STYLES[group.outcome]
    text = Text(f"{CELL_GLYPHS[group.outcome]} {_where(group)}: ", style=style)
    text.append(outcome_words(group.outcome, group.reason), style="default")
    lines = group.message.splitlines()
    return _append_lines(text, lines, lines[-_SHOWN_LINES:])


def _append_lines(text: Text, lines: Sequence[str], shown: Sequence[str]) -> Text:
    for one in shown:
        text.append(f"\n    {line(one)}", style="default")
    if len(lines) > len(shown):
        text.append(f"\n    … {len(lines) - len(shown)} more lines in the result", style="dim")
    return text


def command(argv: Sequence[str]) -> Text:
    """Return a command to copy, always on one line, because a shell would run each line."""
    text = Text("    reproduce: ", style="dim", no_wrap=True, overflow="ignore")
    return text.append(visible(shlex.join(argv)), style="default")


def _where(group: CheckGroup | CellGroup) -> str:
    return line(group.scope) if group.scope else _named([cell.cell.id for cell in group.cells])


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN_CELLS
    return line(", ".join(ids[:_SHOWN_CELLS])) + (f" and {more} more" if more > 0 else "")


def deviating(judged: JudgedRun) -> RenderableType | None:
    """Return a table of the checks with known issues or unexpected passes, or None."""
    unexplained = [tally for tally in tallies(judged) if tally.unexplained]
    if not unexplained:
        return None
    table = _plain_table()
    table.add_column("check")
    table.add_column("cells passed", justify="right")
    table.add_column("other outcomes", no_wrap=True)
    for tally in unexplained[:_MOST]:
        words = [
            f"{CHECK_GLYPHS[outcome]} {count_words(outcome, count)}"
            for outcome, count in tally.outcomes.items()
            if outcome is not CheckOutcome.PASSED
        ]
        passed = sum(tally.outcomes[outcome] for outcome in PASSING)
        counts = f"{passed}/{tally.outcomes.total() + tally.warnings}"
        words += [f"{WARNING_GLYPH} {several(tally.warnings, 'warning')}"] if tally.warnings else []
        table.add_row(Text(line(tally.check)), counts, Text(", ".join(words)))
    return Group(table, *_more(len(unexplained), "checks"))


def changes(judged: JudgedRun) -> RenderableType | None:
    """Return the changes against the baseline, those for the worse first; None without one."""
    comparison = judged.comparison
    if comparison is None:
        return None
    title = (
        f"Changes since {comparison.before} ({comparison.before_subject}, "
        f"{comparison.before_day}, {comparison.before_verdict})"
    )
    groups = change_groups(comparison)
    lines: list[RenderableType] = [_heading(title)]
    if not groups:
        lines.append(Text("  no changes"))
    lines += [_change(group) for group in groups[:_MOST]]
    lines += _more(len(groups), "changes")
    packages = [f"in {_named(ids)}: {words}" for words, ids in package_groups(comparison)]
    metrics = [f"{words}, in {_named(ids)}" for words, ids in metric_groups(comparison)]
    for heading, entries in (
        ("Changed packages", packages),
        ("Changed metrics", metrics),
    ):
        if (section := list_section(heading, entries)) is not None:
            lines += ["", section]
    return Group(*lines)


def _change(group: ChangeGroup) -> Text:
    style = "bold red" if group.worse else "bold"
    text = Text(f"  {group.change}: {line(group.check or 'the cell')}", style=style)
    where = _named([cell.cell for cell in group.cells])
    text.append(f", {group.words}, in {where}", style="default")
    # One of these probably caused the change.
    if group.worse and (packages := group.packages):
        text.append(f"\n      packages: {line(', '.join(packages))}", style="default")
    return text


def known(judged: JudgedRun) -> RenderableType | None:
    """Return a table of the known issues that match a failure, and of xfail marks, or None."""
    rows = known_rows(judged)
    if not rows:
        return None
    table = _plain_table()
    for title in ("known issue", "expires", "excuses", "reason"):
        table.add_column(title)
    for row in rows[:_MOST]:
        style = _FAILING_STYLE if row.expired else ""
        cells = (row.reference, row.expires, row.excuses, row.reason)
        table.add_row(*(Text(line(cell)) for cell in cells), style=style)
    return Group(table, *_more(len(rows), "known issues"))


def gates(judged: JudgedRun) -> RenderableType | None:
    """Return a table of the gates with their evidence, or None without gates."""
    if not judged.gates:
        return None
    table = _plain_table()
    for title in ("gate", "", "condition", "evidence"):
        table.add_column(title)
    for gate in judged.gates:
        glyph, style = _GATES[gate.outcome]
        outcome = f"{glyph} {gate.outcome}{'' if gate.required else ' (advisory)'}"
        evidence = Text("\n".join(map(line, gate.evidence)))
        table.add_row(Text(line(gate.name)), Text(outcome, style), Text(line(gate.asks)), evidence)
    return table


def list_section(title: str, lines: Sequence[str]) -> RenderableType | None:
    """Return lines under a heading, or None if there are none."""
    if not lines:
        return None
    shown = [Text(f"  {line(one)}") for one in lines[:_MOST]]
    return Group(_heading(title), *shown, *_more(len(lines), "entries"))


def environment_table(report: Report) -> RenderableType:
    """Return the environment of a run, the path of its files and the command that reproduces it."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for label, value in environment(report.judged):
        table.add_row(Text(f"  {label}"), Text(line(value)))
    table.add_row(Text("  files"), Text(line(report.folder)))
    reproduce = Text("  reproduce: ", no_wrap=True, overflow="ignore")
    reproduce.append(visible(reproduce_all(report.judged)))
    return Group(_heading("Environment"), table, reproduce)


def _heading(text: str) -> Text:
    return Text(line(text), style="bold")


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
