"""Reports on the differences between two runs.

The judged run is the later of the two. Its `comparison` refers to the earlier one.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from matrixci.reports import terminal_parts
from matrixci.reports.change_groups import (
    WORSE,
    change_groups,
    is_worse,
    metric_groups,
    package_words,
    transition,
)
from matrixci.reports.escape import (
    command_data,
    command_property,
    cut,
    json_text,
    markdown,
    visible,
    xml,
    xml_lines,
)
from matrixci.reports.markdown import comparison_section
from matrixci.reports.page import html
from matrixci.reports.report import Report
from matrixci.util.text import several
from matrixci.verdict.judged import CellChange, Change, Comparison, JudgedRun
from matrixci.verdict.versions import day, subject_title

_MOST: Final = 10


def render_terminal(report: Report) -> RenderableType:
    """Return the differences for a terminal."""
    return Group(Text(visible(_title(report.judged)), style="bold"), *_parts(report.judged))


def _parts(judged: JudgedRun) -> list[RenderableType]:
    changes = terminal_parts.changes(judged)
    return [] if changes is None else [changes, Text(_summary(_of(judged)))]


def render_markdown(report: Report) -> str:
    """Return the differences in Markdown."""
    judged = report.judged
    opening = f"# {markdown(_title(judged))}\n\n{_summary(_of(judged))}\n\n"
    return opening + comparison_section(judged)


def render_json(report: Report) -> str:
    """Return the differences as JSON: the `comparison` field of the JSON report."""
    return json_text(_of(report.judged).model_dump_json(indent=1)) + "\n"


def render_junit(report: Report) -> str:
    """Return the differences as JUnit XML, with a case for each check and cell that changed."""
    cases: list[str] = []
    failures = 0
    for change in _of(report.judged).cells:
        for name, kind, words in _changes(change):
            begin = f'    <testcase classname="{xml(change.cell)}" name="{xml(name)}" time="0"'
            if kind in WORSE:
                failures += 1
                text = xml_lines("\n".join([words, *package_words(change)]))
                message = f'type="{kind}" message="{xml(words)}"'
                cases.append(
                    f"{begin}>\n      <failure {message}>{text}</failure>\n    </testcase>"
                )
            else:
                output = f"<system-out>{xml_lines(words)}</system-out>"
                cases.append(f"{begin}>{output}</testcase>")
    body = "".join(f"{case}\n" for case in cases)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
        f'  <testsuite name="{xml(_title(report.judged))}" tests="{len(cases)}" '
        f'failures="{failures}" errors="0" skipped="0" time="0" '
        f'timestamp="{report.judged.run.began:%Y-%m-%dT%H:%M:%S}">\n{body}'
        "  </testsuite>\n</testsuites>\n"
    )


def render_github(report: Report) -> str:
    """Return the changes for the worse as GitHub annotations, one per line."""
    worse = [change for change in _of(report.judged).cells if is_worse(change)]
    lines = []
    for change in worse[: _MOST - 1]:
        words = [f"{name}: {text}" for name, kind, text in _changes(change) if kind in WORSE]
        text = cut("\n".join([*words, *package_words(change)]), 2000)
        title = command_property(f"worse: {change.cell}")
        lines.append(f"::error title={title}::{command_data(text)}")
    if (more := len(worse) - _MOST + 1) > 0:
        lines.append(f"::error title={more} more::{more} more cells are worse")
    lines.append(f"::notice title=compared::{command_data(_summary(_of(report.judged)))}")
    return "".join(f"{line}\n" for line in lines)


def render_shields(report: Report) -> str:
    """Return the differences as JSON for the endpoint badge of shields.io."""
    comparison = _of(report.judged)
    worse = any(is_worse(change) for change in comparison.cells)
    badge = {
        "schemaVersion": 1,
        "label": visible(cut(f"since {comparison.before_subject}", 60)),
        "message": _summary(comparison),
        "color": "red" if worse else "brightgreen",
        "isError": worse,
    }
    return json_text(json.dumps(badge, indent=2, ensure_ascii=False)) + "\n"


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = MappingProxyType(
    {
        "html": html.render,
        "markdown": render_markdown,
        "json": render_json,
        "junit": render_junit,
        "github": render_github,
        "shields": render_shields,
    }
)
"""Text formats by name. The terminal report is not one of them."""


def _of(judged: JudgedRun) -> Comparison:
    """Return the comparison of a run.

    Raises:
        ValueError: the run is not compared with another.
    """
    if judged.comparison is None:
        msg = "The run has no comparison"
        raise ValueError(msg)
    return judged.comparison


def _title(judged: JudgedRun) -> str:
    comparison = _of(judged)
    before = f"{comparison.before_subject} ({comparison.before})"
    return f"{before} → {subject_title(judged)} ({judged.run.id}, {day(judged.run)})"


def _summary(comparison: Comparison) -> str:
    kinds: Counter[Change] = Counter()
    for group in change_groups(comparison):
        kinds[group.change] += len(group.cells)
    parts = [f"{kinds[kind]} {kind}" for kind in Change if kinds[kind]]
    if comparison.not_compared:
        parts.append(f"{several(len(comparison.not_compared), 'cell')} not compared")
    locks = sum(bool(change.packages) for change in comparison.cells)
    parts += [f"{several(locks, 'cell')} with changed packages"] if locks else []
    metrics = len(metric_groups(comparison))
    parts += [f"{several(metrics, 'metric')} changed"] if metrics else []
    return ", ".join(parts) or "no differences"


def _changes(change: CellChange) -> list[tuple[str, Change, str]]:
    """Return the changes of a cell as name, kind and words, that of the cell itself first."""
    found = []
    if change.change is not None:
        words = f"{change.change}, {transition(change.before, change.after)}"
        found.append(("(cell)", change.change, words))
    found += [
        (one.check, one.change, f"{one.change}, {transition(one.before, one.after)}")
        for one in change.checks
    ]
    return found
