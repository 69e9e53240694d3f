"""Annotations for GitHub Actions: workflow commands, in which no text can begin another one."""

import shlex
from collections.abc import Iterator

from matrixci.glyphs import outcome_words
from matrixci.judged import JudgedRun, Verdict
from matrixci.model import CellOutcome
from matrixci.reports.escape import command_data, command_property, cut
from matrixci.reports.groups import counted, failures, other_cells, warnings
from matrixci.reports.report import Report
from matrixci.reproduction import of_check
from matrixci.wording import several

_MOST = 10  # GitHub shows so many of a kind for each step, and drops the others in silence
_TEXT = 2000
_NAMED = 5


def render(report: Report) -> str:
    """Return the annotations, a line each."""
    judged = report.judged
    errors, warned = list(_errors(judged)), list(_warnings(judged))
    lines = [
        _command(
            "notice",
            str(judged.verdict),
            f"{several(len(judged.cells), 'cell')}: {counted(judged)}",
        )
    ]
    for kind, found in (("error", errors), ("warning", warned)):
        lines += [_command(kind, title, text) for title, text in _bounded(found, kind)]
    return "".join(f"{line}\n" for line in lines)


def _bounded(found: list[tuple[str, str]], kind: str) -> list[tuple[str, str]]:
    if len(found) <= _MOST:
        return found
    more = len(found) - _MOST + 1
    return [*found[: _MOST - 1], (f"{more} more", f"{more} more of kind {kind} are in the report")]


def _errors(judged: JudgedRun) -> Iterator[tuple[str, str]]:
    if judged.verdict is Verdict.NOT_READY:
        yield str(judged.verdict), "\n".join(judged.reasons)
    for group in failures(judged):
        check = group.check
        where = _cells([cell.cell.id for cell in group.cells])
        again = shlex.join(of_check(group.cells[0].reproduce, check.id))
        told = (check.claim, again, check.reason, check.message)
        text = "\n".join(filter(None, told))
        yield f"{check.outcome}: {check.id}", f"{where}\n{text}"
    for cells in other_cells(judged):
        if cells.outcome is not CellOutcome.UNSATISFIABLE:
            where = _cells([cell.cell.id for cell in cells.cells])
            again = shlex.join(cells.cells[0].reproduce)
            yield outcome_words(cells.outcome, cells.reason), f"{where}\n{again}\n{cells.message}"


def _warnings(judged: JudgedRun) -> Iterator[tuple[str, str]]:
    for group in warnings(judged):
        where = _cells([cell.cell.id for cell in group.cells])
        yield f"{group.check.outcome}: {group.check.id}", f"{where}\n{group.check.message}"
    for one in judged.unverified:
        yield "not verified", one


def _cells(ids: list[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def annotation(kind: str, title: str, text: str) -> str:
    """Return one annotation as a line.

    Args:
        kind: error, warning or notice.
        title: what is read first.
        text: the rest.
    """
    return f"{_command(kind, title, text)}\n"


def _command(kind: str, title: str, text: str) -> str:
    name = command_property(cut(title, _TEXT))
    return f"::{kind} title={name}::{command_data(cut(text, _TEXT))}"
