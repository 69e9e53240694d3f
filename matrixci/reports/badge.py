"""The verdict as a badge: an SVG image, and JSON for shields.io."""

import json
from collections import Counter
from typing import Final

from jinja2 import Environment

from matrixci.model import CellOutcome
from matrixci.outcomes import GREEN
from matrixci.reports.escape import cut, json_text, visible
from matrixci.reports.report import Report
from matrixci.verdict.judged import JudgedRun, Verdict
from matrixci.verdict.versions import subject_title

_CHARACTER: Final = 7
_ROOM: Final = 10
_MOST: Final = 60
_COLORS: Final = {Verdict.READY: ("brightgreen", "#2da44e"), Verdict.NOT_READY: ("red", "#cf222e")}

_PICTURE: Final = Environment(autoescape=True).from_string("""\
<svg xmlns="http://www.w3.org/2000/svg" width="{{ left + right }}" height="20" role="img" \
aria-label="{{ label }}: {{ message }}">
  <title>{{ label }}: {{ message }}</title>
  <rect width="{{ left }}" height="20" fill="#555"/>
  <rect x="{{ left }}" width="{{ right }}" height="20" fill="{{ color }}"/>
  <g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    <text x="{{ left / 2 }}" y="14" textLength="{{ left - room }}">{{ label }}</text>
    <text x="{{ left + right / 2 }}" y="14" textLength="{{ right - room }}">{{ message }}</text>
  </g>
</svg>
""")


def render_svg(report: Report) -> str:
    """Return the badge as a self-contained SVG image."""
    label, message = _label(report.judged), _message(report.judged)
    return _PICTURE.render(
        label=label,
        message=message,
        color=_COLORS[report.judged.verdict][1],
        left=len(label) * _CHARACTER + _ROOM,
        right=len(message) * _CHARACTER + _ROOM,
        room=_ROOM,
    )


def render_endpoint(report: Report) -> str:
    """Return the badge as JSON for the endpoint badge of shields.io."""
    badge = {
        "schemaVersion": 1,
        "label": _label(report.judged),
        "message": _message(report.judged),
        "color": _COLORS[report.judged.verdict][0],
        "isError": report.judged.verdict is Verdict.NOT_READY,
    }
    return json_text(json.dumps(badge, indent=2, ensure_ascii=False)) + "\n"


def _label(judged: JudgedRun) -> str:
    return visible(cut(subject_title(judged), _MOST))


def _message(judged: JudgedRun) -> str:
    count = Counter(cell.outcome for cell in judged.cells)
    green = sum(count[outcome] for outcome in GREEN)
    of = len(judged.cells) - count[CellOutcome.UNSATISFIABLE]
    return f"{judged.verdict} · {green} of {of} cells green"
