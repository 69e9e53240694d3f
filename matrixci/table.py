"""The compatibility table in the terminal: one look, then every cell that isn't green explained."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrixci.glyphs import CELL_GLYPHS, CHECK_GLYPHS, STYLES
from matrixci.judge import FAILING, GREEN, JudgedCell, JudgedRun, Verdict
from matrixci.model import CellOutcome, CheckOutcome, Need, Reason
from matrixci.wording import in_line, printable

_NEEDS: Final = {Need.GPU: "a GPU"}
_REPEATED: Final = ("--matrix", "--checks", "--base")
"""Options of a run without which a cell of it would be another one."""

_SHOWN_CELLS: Final = 3
_SHOWN_LINES: Final = 5
_LABEL_WIDTH: Final = 32
_FAILING_STYLE: Final = "bold red"


def render(judged: JudgedRun, folder: str) -> RenderableType:
    """Return the whole report of a run for a terminal, to be printed without cropping.

    Args:
        judged: the judged run.
        folder: where its files lie, as the reader is told.
    """
    parts: list[RenderableType] = [render_matrix(judged), ""]
    parts += _explanations(judged)
    if deviating := _deviating_checks(judged):
        parts += [deviating, ""]
    parts += [Text(f"note: {in_line(remark)}", style="dim") for remark in judged.remarks]
    parts += [Text(f"locks, logs and results: {in_line(folder)}", style="dim"), ""]
    parts.append(_verdict(judged))
    return Group(*parts)


def render_matrix(judged: JudgedRun) -> RenderableType:
    """Return what is seen at one look: versions, verdict and the matrix itself."""
    return Group(_header(judged), _headline(judged), "", _matrix(judged))


def headline_versions(judged: JudgedRun) -> dict[str, str]:
    """Return the version of the subject and its declared companions that most cells have."""
    found: dict[str, Counter[str]] = {}
    for cell in judged.cells:
        for name in _tracked(judged):
            if cell.result and cell.result.lock and name in cell.result.lock.versions:
                found.setdefault(name, Counter())[cell.result.lock.versions[name]] += 1
    return {name: versions.most_common(1)[0][0] for name, versions in found.items()}


def _tracked(judged: JudgedRun) -> tuple[str, ...]:
    return (judged.run.subject.name, *judged.run.companions)


def _header(judged: JudgedRun) -> Text:
    versions = headline_versions(judged)
    names = [f"{name} {version}" for name, version in versions.items()]
    day = f"as of {judged.run.as_of}" if judged.run.as_of else f"{judged.run.began:%Y-%m-%d}"
    return Text(in_line(" · ".join([*(names or [judged.run.subject.spec]), day])), style="bold")


def _headline(judged: JudgedRun) -> Text:
    """Return the verdict in a line, with what the cells came to."""
    count = Counter(cell.outcome for cell in judged.cells)
    counted = ", ".join(f"{count[outcome]} {outcome}" for outcome in CellOutcome if count[outcome])
    style = "bold green" if judged.verdict is Verdict.READY else "bold red"
    text = Text(str(judged.verdict), style=style)
    return text.append(f"  {len(judged.cells)} cells: {counted}", style="default")


def _verdict(judged: JudgedRun) -> Text:
    """Return the verdict with its reasons: the last lines are what a terminal shows."""
    text = _headline(judged)
    for reason in judged.reasons:
        text.append(f"\n  {in_line(reason)}", style="default")
    return text


def _matrix(judged: JudgedRun) -> Table:
    *down, across = judged.run.axes
    columns = [
        value
        for value in judged.run.axes[across]
        if any(cell.cell.axes[across] == value for cell in judged.cells)
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for axis in down:
        # A narrow terminal folds the figures: without its labels a row says nothing.
        labels = [_label(axis, cell.cell.axes[axis]) for cell in judged.cells]
        width = max(map(len, labels), default=0)
        table.add_column(min_width=min(width, _LABEL_WIDTH), no_wrap=True)
    for value in columns:
        table.add_column(Text(_column_title(judged, across, value)))
    table.add_column("")
    rows: dict[tuple[str, ...], dict[str, JudgedCell]] = {}
    for cell in judged.cells:
        key = tuple(cell.cell.axes[axis] for axis in down)
        rows.setdefault(key, {})[cell.cell.axes[across]] = cell
    shown_first = ""
    for key, cells in rows.items():
        labels = [_label(axis, value) for axis, value in zip(down, key, strict=True)]
        first = labels[0] if labels else ""
        labels[:1] = ["" if first == shown_first else first] if labels else []
        shown_first = first
        heads = [Text(label) for label in labels]
        entries = [_entry(cells[value]) if value in cells else Text("") for value in columns]
        table.add_row(*heads, *entries, Text(_row_note(judged, list(cells.values()))))
    return table


def _label(axis: str, value: str) -> str:
    return in_line(f"py{value}" if axis == "python" else f"{axis} {value}")


def _column_title(judged: JudgedRun, axis: str, value: str) -> str:
    cells = [cell.cell for cell in judged.cells if cell.cell.axes[axis] == value]
    without = judged.run.engine is not None and judged.run.engine.gpu is None
    if cells and all(cell.gpu for cell in cells) and without:
        return in_line(f"{value} (no GPU on this engine)")
    return in_line(value)


def _entry(cell: JudgedCell) -> Text:
    text = Text(f"{CELL_GLYPHS[cell.outcome]} {_count(cell)}", style=STYLES[cell.outcome])
    if cell.result is not None and cell.result.reused_from is not None:
        text.append(" ↺ reused", style="dim")
    return text


def _count(cell: JudgedCell) -> str:
    """Say in words and figures what a cell came to."""
    if cell.outcome is CellOutcome.FAILED and not (cell.failed and cell.reason is Reason.CHECKS):
        return f"{cell.outcome}: {cell.reason}"
    if not cell.checks:
        return str(cell.outcome)
    parts = [f"{cell.count(CheckOutcome.PASSED, CheckOutcome.FIXED)} passed"]
    parts += [
        f"{cell.count(outcome)} {outcome}"
        for outcome in (*sorted(FAILING), CheckOutcome.KNOWN)
        if cell.count(outcome)
    ]
    needs = Counter(check.need for check in cell.checks if check.need is not None)
    parts += [f"{count} need {_NEEDS[need]}" for need, count in needs.items()]
    return ", ".join(parts)


def _row_note(judged: JudgedRun, cells: Sequence[JudgedCell]) -> str:
    """Say where a row's versions differ from the headline, or why it can't be had."""
    reasons = {cell.message for cell in cells if cell.outcome is CellOutcome.UNSATISFIABLE}
    if reasons and all(cell.outcome is CellOutcome.UNSATISFIABLE for cell in cells):
        return in_line("; ".join(sorted(reasons)))
    headline = headline_versions(judged)
    differing = {
        f"{name} {cell.result.lock.versions[name]}": judged.run.older.get(cell.cell.id, {}).get(
            name, ""
        )
        for cell in cells
        if cell.result and cell.result.lock
        for name in _tracked(judged)
        if cell.result.lock.versions.get(name, headline.get(name)) != headline.get(name)
    }
    return in_line(", ".join(f"{what} ({why})" if why else what for what, why in differing.items()))


def _explanations(judged: JudgedRun) -> Iterable[RenderableType]:
    """Explain each cell that isn't green, cells that say the same together."""
    failing: dict[tuple[str, CheckOutcome, str], list[JudgedCell]] = {}
    others: dict[tuple[CellOutcome, Reason | None, str], list[JudgedCell]] = {}
    for cell in judged.cells:
        for check in cell.failed:
            failing.setdefault((check.id, check.outcome, check.reason), []).append(cell)
        if cell.outcome not in GREEN and not (cell.failed and cell.reason is Reason.CHECKS):
            others.setdefault((cell.outcome, cell.reason, cell.message), []).append(cell)
    for (check_id, _, _), cells in failing.items():
        yield _check_explanation(check_id, cells)
        yield from (_command(reproduction(judged, cells[0], check_id)), "")
    for cells in others.values():
        yield _cell_explanation(cells)
        if cells[0].outcome is not CellOutcome.UNSATISFIABLE:
            yield _command(reproduction(judged, cells[0], ""))
        yield ""


def _check_explanation(check_id: str, cells: Sequence[JudgedCell]) -> Text:
    """Explain a check that fails, by what it says in the first of the cells."""
    check = next(check for check in cells[0].checks if check.id == check_id)
    text = Text(f"{CHECK_GLYPHS[check.outcome]} {in_line(check.claim)}", style=_FAILING_STYLE)
    text.append(f"\n    {check.outcome} in {_cell_list(cells)}: ", style="default")
    text.append(in_line(check_id), style="dim")
    return _append_lines(text, [*check.reason.splitlines(), *check.message.splitlines()])


def _cell_explanation(cells: Sequence[JudgedCell]) -> Text:
    """Explain cells that came to nothing that a check could tell."""
    first = cells[0]
    text = Text(f"{CELL_GLYPHS[first.outcome]} {_cell_list(cells)}: ", style=STYLES[first.outcome])
    text.append(f"{first.outcome} ({first.reason})", style="default")
    return _append_lines(text, first.message.splitlines(), of_end=True)


def _append_lines(text: Text, lines: Sequence[str], *, of_end: bool = False) -> Text:
    shown = lines[-_SHOWN_LINES:] if of_end else lines[:_SHOWN_LINES]
    for line in shown:
        text.append(f"\n    {in_line(line)}", style="default")
    if len(lines) > len(shown):
        text.append(f"\n    … {len(lines) - len(shown)} more lines in the result", style="dim")
    return text


def _command(argv: Sequence[str]) -> Text:
    """Return a command to copy: in one line however long it is, for a shell runs each line."""
    text = Text("    reproduce: ", style="dim", no_wrap=True, overflow="ignore")
    return text.append(printable(shlex.join(argv)), style="default")


def reproduction(judged: JudgedRun, cell: JudgedCell, check_id: str) -> list[str]:
    """Return the command that runs a cell again, or one of its checks."""
    argv = ["python3", "-m", "nox", "-s", "matrix", "--", "--cell", cell.cell.id]
    if check_id:
        argv += ["--check", check_id.rpartition("::")[2].partition("[")[0]]
    argv += ["--subject", judged.run.subject.spec]
    argv += ["--as-of", judged.run.as_of.isoformat()] if judged.run.as_of else []
    given = judged.run.command
    for option in _REPEATED:
        if option in given[:-1]:
            argv += [option, given[given.index(option) + 1]]
    return argv


def _cell_list(cells: Sequence[JudgedCell]) -> str:
    ids = [cell.cell.id for cell in cells]
    more = len(ids) - _SHOWN_CELLS
    return in_line(", ".join(ids[:_SHOWN_CELLS])) + (f" and {more} more" if more > 0 else "")


def _deviating_checks(judged: JudgedRun) -> Table | None:
    """Return the checks that came to something else than passed or skipped; None for none."""
    cells = [cell for cell in judged.cells if cell.checks]
    outcomes: dict[str, dict[str, CheckOutcome]] = {}
    for cell in cells:
        for check in cell.checks:
            outcomes.setdefault(check.id, {})[cell.cell.id] = check.outcome
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("check")
    table.add_column("passed", justify="right")
    table.add_column("elsewhere", no_wrap=True)
    for check_id, by_cell in outcomes.items():
        elsewhere = Counter(o for o in by_cell.values() if o is not CheckOutcome.PASSED)
        # That some are skipped for the lack of a GPU is said once, in the notes.
        if elsewhere.keys() - {CheckOutcome.SKIPPED}:
            passed = sum(o is CheckOutcome.PASSED for o in by_cell.values())
            words = [f"{CHECK_GLYPHS[o]} {count} {o}" for o, count in elsewhere.items()]
            table.add_row(
                Text(in_line(check_id)), f"{passed}/{len(by_cell)}", Text(", ".join(words))
            )
    return table if table.row_count else None
