"""Annotations for GitHub Actions: workflow commands with escaped text."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from matrixci.model import CellOutcome, Run
from matrixci.outcomes import outcome_words
from matrixci.reports.escape import command_data, command_property, cut
from matrixci.reports.grouping import CheckGroup, counted, failures, other_cells, warnings
from matrixci.reports.locations import Location, cell_location, check_location
from matrixci.reports.report import Report
from matrixci.util.text import several
from matrixci.verdict.judged import JudgedRun, Verdict
from matrixci.verdict.reproduce_command import of_check

_MOST = 10  # GitHub shows 10 of each kind per step and silently drops the rest
_TEXT = 2000
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class _Annotation:
    """One error or warning, and its location."""

    title: str
    text: str
    where: Location | None = None


def render(report: Report) -> str:
    """Return the annotations, one per line."""
    judged = report.judged
    counts = f"{several(len(judged.cells), 'cell')}: {counted(judged)}"
    lines = [_command("notice", _Annotation(title=str(judged.verdict), text=counts))]
    for kind, found in (("error", list(_errors(judged))), ("warning", list(_warnings(judged)))):
        lines += [_command(kind, one) for one in _bounded(found, kind)]
    return "".join(f"{line}\n" for line in lines)


def _bounded(found: list[_Annotation], kind: str) -> list[_Annotation]:
    if len(found) <= _MOST:
        return found
    more = len(found) - _MOST + 1
    rest = _Annotation(title=f"{more} more", text=f"The report lists {more} more {kind}s")
    return [*found[: _MOST - 1], rest]


def _errors(judged: JudgedRun) -> Iterator[_Annotation]:
    if judged.verdict is Verdict.NOT_READY:
        yield _Annotation(title=str(judged.verdict), text="\n".join(judged.reasons))
    for group in failures(judged):
        yield _of_check(judged.run, group)
    for cells in other_cells(judged):
        if cells.outcome is not CellOutcome.UNSATISFIABLE:
            where = _cells([cell.cell.id for cell in cells.cells])
            command = shlex.join(cells.cells[0].reproduce)
            yield _Annotation(
                title=outcome_words(cells.outcome, cells.reason),
                text=f"{where}\n{command}\n{cells.message}",
                where=cell_location(judged.run, cells.cells[0]),
            )


def _warnings(judged: JudgedRun) -> Iterator[_Annotation]:
    for group in warnings(judged):
        yield _of_check(judged.run, group)
    for one in judged.unverified:
        yield _Annotation(title="not verified", text=one)


def _of_check(run: Run, group: CheckGroup) -> _Annotation:
    check = group.check
    where = _cells([cell.cell.id for cell in group.cells])
    command = shlex.join(of_check(group.cells[0].reproduce, check.id))
    return _Annotation(
        title=f"{check.outcome}: {check.id}",
        text="\n".join(filter(None, (where, check.claim, command, check.reason, check.message))),
        where=check_location(run, check),
    )


def _cells(ids: list[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def annotation(kind: str, title: str, text: str) -> str:
    """Return one annotation as a line of output.

    Args:
        kind: error, warning or notice.
        title: the first line that a reader sees.
        text: the message, of one or more lines.
    """
    return f"{_command(kind, _Annotation(title=title, text=text))}\n"


def _command(kind: str, found: _Annotation) -> str:
    title = f"title={command_property(cut(found.title, _TEXT))}"
    properties = ",".join([*_place(found.where), title])
    return f"::{kind} {properties}::{command_data(cut(found.text, _TEXT))}"


def _place(where: Location | None) -> Iterator[str]:
    """Yield the file and line of an annotation, or nothing for a file outside the repository."""
    if where is not None and where.known:
        yield f"file={command_property(cut(where.path, _TEXT))}"
        if where.line is not None:
            yield f"line={where.line}"
