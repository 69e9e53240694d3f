"""A report in the terminal: one look, then each cell that isn't green, then the verdict."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from matrixci.judged import JudgedRun
from matrixci.reports import terminal_parts as parts
from matrixci.reports.report import Report
from matrixci.reports.table import header, headline, line, matrix, render_matrix
from matrixci.wording import several

_OPENING = 5


def render(report: Report) -> RenderableType:
    """Return the report of a run that has just ended: its last lines are the verdict.

    It is to be printed without cropping: a command to copy is one line, however long.
    """
    judged = report.judged
    sections: list[RenderableType] = [render_matrix(judged), ""]
    sections += parts.explanations(judged)
    sections += _spaced(parts.deviating(judged), parts.changes(judged))
    sections += [Text(f"note: {line(remark)}", style="dim") for remark in judged.remarks]
    sections += [Text(f"not verified: {line(one)}", style="dim") for one in judged.unverified]
    sections += [Text(f"locks, logs and results: {line(report.folder)}", style="dim"), ""]
    sections.append(_verdict(judged))
    return Group(*sections)


def render_readiness(report: Report) -> RenderableType:
    """Return the report that a release is decided on: it opens with the verdict and the reasons.

    It is to be printed without cropping: a command to copy is one line, however long.
    """
    judged = report.judged
    sections: list[RenderableType] = [header(judged), _opening(judged), "", matrix(judged), ""]
    sections += parts.explanations(judged)
    sections += _spaced(
        parts.deviating(judged),
        parts.changes(judged),
        parts.known(judged),
        parts.gates(judged),
        parts.listed("Not verified", judged.unverified),
        parts.listed("Remarks", judged.remarks),
        parts.environment_table(report),
    )
    sections.append(headline(judged))
    return Group(*sections)


def _spaced(*sections: RenderableType | None) -> Iterator[RenderableType]:
    for section in sections:
        if section is not None:
            yield section
            yield ""


def _opening(judged: JudgedRun) -> Text:
    """Return the verdict with its reasons, in few lines."""
    text = headline(judged)
    for reason in judged.reasons[:_OPENING]:
        text.append(f"\n  {line(reason)}", style="default")
    if (more := len(judged.reasons) - _OPENING) > 0:
        text.append(f"\n  and {several(more, 'more reason')}, told beneath", style="default")
    return text


def _verdict(judged: JudgedRun) -> Text:
    """Return the verdict with all its reasons: the last lines are what a terminal shows."""
    text = headline(judged)
    for reason in judged.reasons:
        text.append(f"\n  {line(reason)}", style="default")
    return text
