"""The terminal report: the table of cells, an explanation of each failure, and the verdict."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from matrixci.reports import terminal_parts as parts
from matrixci.reports.blocker_summaries import blocker_summaries
from matrixci.reports.cell_words import line
from matrixci.reports.report import Report
from matrixci.reports.terminal_table import header, headline, matrix, render_matrix
from matrixci.verdict.judged import JudgedRun

_OPENING: Final = 5
_MOST: Final = 50


def render(report: Report) -> RenderableType:
    """Return the report that is printed at the end of a run, with the verdict in its last lines.

    Print it without cropping: each command to copy must stay on one line.
    """
    judged = report.judged
    sections: list[RenderableType] = [render_matrix(judged), ""]
    sections += parts.explanations(judged)
    sections += _spaced(parts.deviating(judged), parts.changes(judged), parts.known(judged))
    notes = [f"note: {remark}" for remark in judged.remarks]
    notes += [f"not verified: {one}" for one in judged.unverified]
    sections += [Text(line(note), style="dim") for note in _bounded(notes, _MOST)]
    sections += [Text(f"locks, logs and results: {line(report.folder)}", style="dim"), ""]
    sections.append(_verdict(judged))
    return Group(*sections)


def render_readiness(report: Report) -> RenderableType:
    """Return the release readiness report, which starts with the verdict and the blockers.

    Print it without cropping: each command to copy must stay on one line.
    """
    judged = report.judged
    sections: list[RenderableType] = [header(judged), _opening(report), "", matrix(judged), ""]
    sections += parts.explanations(judged)
    more = judged.reasons[_OPENING - 1 :] if len(judged.reasons) > _OPENING else ()
    sections += _spaced(
        parts.list_section("More blockers", more),
        parts.deviating(judged),
        parts.changes(judged),
        parts.known(judged),
        parts.gates(judged),
        parts.list_section("Not verified", judged.unverified),
        parts.list_section("Notes", judged.remarks),
        parts.environment_table(report),
    )
    sections.append(headline(judged))
    return Group(*sections)


def _spaced(*sections: RenderableType | None) -> Iterator[RenderableType]:
    for section in sections:
        if section is not None:
            yield section
            yield ""


def _bounded(lines: Sequence[str], most: int) -> list[str]:
    """Return at most `most` lines, the last of which counts those left out."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"and {len(lines) - most + 1} more"]


def _opening(report: Report) -> Text:
    """Return the verdict with the first blockers."""
    text = headline(report.judged)
    for reason in _bounded([summary.line for summary in blocker_summaries(report)], _OPENING):
        text.append(f"\n  {line(reason)}", style="default")
    return text


def _verdict(judged: JudgedRun) -> Text:
    """Return the verdict with the first blockers, as the last lines of the output."""
    text = headline(judged)
    failing = {check.id for cell in judged.cells for check in cell.failed}
    if len(judged.reasons) > _OPENING and len(failing) > 1:
        text.append(f"\n  {len(failing)} checks fail, each explained above", style="default")
    for reason in _bounded(judged.reasons, _OPENING):
        text.append(f"\n  {line(reason)}", style="default")
    return text
