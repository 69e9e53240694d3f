"""The HTML report: one self-contained file that makes no network requests.

The verdict, its reasons, the gates and the lists are plain HTML. The cells are compact data that
the page's script renders on demand. Any string may come from a container, so all strings are
rendered as text: Jinja2 escapes them here, and the script creates only text nodes.
"""

import base64
import hashlib
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from matrixci.model import CellOutcome
from matrixci.reports.blocker_summaries import blocker_summaries
from matrixci.reports.known import known_rows
from matrixci.reports.page.data import as_script, page_data
from matrixci.reports.page.words import GATE_GLYPHS, cell_tone, check_tone, gate_tone, link_of
from matrixci.reports.provenance import environment, reproduce_all
from matrixci.reports.report import Report
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS
from matrixci.util.text import in_line, printable
from matrixci.verdict.judged import JudgedRun, Verdict
from matrixci.verdict.versions import occasion, shown_versions, subject_title

_TEMPLATES: Final = "templates"
_SCRIPTS: Final = (
    "dom.js",
    "model.js",
    "filters.js",
    "grid.js",
    "parts.js",
    "drawer.js",
    "failures.js",
    "checks.js",
    "changes.js",
    "page.js",
)
_SHOWN_BLOCKERS: Final = 5


def render(report: Report) -> str:
    """Return the HTML report as a string."""
    judged = report.judged
    data = page_data(report)
    style, script = _style(), _script()
    return (
        _templates()
        .get_template("page.html")
        .render(
            judged=judged,
            ready=judged.verdict is Verdict.READY,
            title=in_line(subject_title(judged)),
            versions=list(shown_versions(judged).items()),
            occasion=in_line(occasion(judged.run)),
            shown_blockers=_SHOWN_BLOCKERS,
            known=known_rows(judged),
            blockers=blocker_summaries(report),
            counts=_counts(judged),
            environment={
                name: printable(value)
                for name, value in [*environment(judged), ("files", report.folder)]
            },
            left_out=data.left_out,
            folder=report.folder,
            command=printable(reproduce_all(judged)),
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704 - from files of this package
            script=Markup(script),  # noqa: S704
            data=Markup(as_script(data.document)),  # noqa: S704 - escaped by as_script
        )
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("matrixci.reports.page", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "in_line": in_line, "link": link_of}
    environment.globals |= {
        "gate_tone": gate_tone,
        "gate_glyphs": GATE_GLYPHS,
        "check_glyphs": CHECK_GLYPHS,
        "check_tone": check_tone,
    }
    return environment


@cache
def _file(name: str) -> str:
    return files("matrixci.reports.page").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _file("page.css")


@cache
def _script() -> str:
    """Return all scripts in one function, so that their names are not global."""
    parts = "\n".join(_file(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _policy(style: str, script: str) -> str:
    """Return the content security policy, which allows this style and this script only."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _counts(judged: JudgedRun) -> list[dict[str, object]]:
    count = Counter(cell.outcome for cell in judged.cells)
    return [
        {"word": str(o), "glyph": CELL_GLYPHS[o], "tone": cell_tone(o), "count": count[o]}
        for o in CellOutcome
        if count[o]
    ]
