"""The file formats of a report."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from matrixci.reports import annotations as github
from matrixci.reports import badge, json_report, junit, markdown, sarif, terminal
from matrixci.reports.page import html
from matrixci.reports.report import Report
from matrixci.util.files import write_whole

_WIDTH: Final = 160


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format of the report."""

    name: str
    file: str
    chunks: Callable[[Report], Iterable[str]]
    """returns the text of the file in pieces"""


def _text(report: Report) -> Iterator[str]:
    console = Console(file=io.StringIO(), width=_WIDTH, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(terminal.render_readiness(report), crop=False)
    yield captured.get()


def _whole(render: Callable[[Report], str]) -> Callable[[Report], Iterable[str]]:
    return lambda report: (render(report),)


FORMATS: Final = {
    each.name: each
    for each in (
        Format(name="terminal", file="report.txt", chunks=_text),
        Format(name="html", file="report.html", chunks=_whole(html.render)),
        Format(name="markdown", file="report.md", chunks=_whole(markdown.render)),
        Format(name="junit", file="junit.xml", chunks=junit.chunks),
        Format(name="json", file="report.json", chunks=json_report.chunks),
        Format(name="badge", file="badge.svg", chunks=_whole(badge.render_svg)),
        Format(name="shields", file="badge.json", chunks=_whole(badge.render_endpoint)),
        Format(name="sarif", file="report.sarif", chunks=_whole(sarif.render)),
        Format(name="github", file="annotations.txt", chunks=_whole(github.render)),
    )
}
"""The formats by name."""


def write_all(
    report: Report, folder: Path, formats: Sequence[Format] = tuple(FORMATS.values())
) -> list[Path]:
    """Write a report into a folder, one file for each format, and return the paths.

    Raises:
        RunFilesError: a file cannot be written.
    """
    paths = []
    for each in formats:
        path = folder / each.file
        write_whole(path, each.chunks(report), durable=False)
        paths.append(path)
    return paths
