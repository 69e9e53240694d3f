"""The page: one self-contained file that is opened anywhere and asks for nothing from a network.

What is read first (verdict, reasons, gates, lists) is in the page's HTML; the cells are compact
data that its script renders as text, on demand. Each string may come from a container and is
never anything but text: Jinja2 escapes it here, the script knows only text nodes.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from matrixci.glyphs import CELL_GLYPHS
from matrixci.headline import occasion
from matrixci.judged import JudgedRun, Verdict
from matrixci.model import CellOutcome
from matrixci.reports.environment import reproduce_all
from matrixci.reports.page_data import PageData, as_script
from matrixci.reports.page_words import GATE_GLYPHS, cell_tone, gate_tone, link_of
from matrixci.reports.report import Report
from matrixci.wording import in_line, printable

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
_REASONS: Final = 5


def render(report: Report) -> str:
    """Return the page of a report."""
    judged = report.judged
    data = PageData(report)
    document = data.document()
    style, script = _style(), _script()
    return (
        _environment()
        .get_template("page.html")
        .render(
            judged=judged,
            ready=judged.verdict is Verdict.READY,
            title=_title(judged, data.headline),
            versions=list(data.headline.items()),
            occasion=in_line(occasion(judged.run)),
            shown_reasons=_REASONS,
            counts=_counts(judged),
            environment=_facts(report),
            cuts=data.cuts(),
            folder=report.folder,
            command=printable(reproduce_all(judged)),
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704 - files of this package, no text of a run
            script=Markup(script),  # noqa: S704
            data=Markup(as_script(document)),  # noqa: S704 - escaped for a script element there
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("matrixci.reports", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "in_line": in_line, "link": link_of}
    environment.globals |= {"gate_tone": gate_tone, "gate_glyphs": GATE_GLYPHS}
    return environment


@cache
def _file(name: str) -> str:
    return files("matrixci.reports").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _file("page.css")


@cache
def _script() -> str:
    """Return the scripts as one, so that their names are nobody else's."""
    parts = "\n".join(_file(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _policy(style: str, script: str) -> str:
    """Return the content security policy: this style, this script, and nothing from anywhere."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _title(judged: JudgedRun, versions: Mapping[str, str]) -> str:
    subject = judged.run.subject
    version = versions.get(subject.name)
    return in_line(f"{subject.name} {version}" if version else subject.spec)


def _counts(judged: JudgedRun) -> list[dict[str, object]]:
    count = Counter(cell.outcome for cell in judged.cells)
    return [
        {"word": str(o), "glyph": CELL_GLYPHS[o], "tone": cell_tone(o), "count": count[o]}
        for o in CellOutcome
        if count[o]
    ]


def _facts(report: Report) -> Mapping[str, str]:
    """Return where and how the run was made, without the names of hosts."""
    judged, run = report.judged, report.judged.run
    facts = {
        "run": run.id,
        "files": report.folder,
        "began": f"{run.began:%Y-%m-%d %H:%M:%S} UTC",
        "took": _duration(run.ended - run.began) if run.ended else "it did not end",
        "matrixci": f"{run.matrixci}, commit {run.commit}" if run.commit else run.matrixci,
        "matrix": f"sha256 {run.matrix_digest}",
        "subject": run.subject.spec,
        "index as of": str(run.as_of) if run.as_of else "the day of the run",
        "resolver": run.resolver,
    }
    if engines := run.served_by:
        facts["engine"] = _each(f"{e.version}, buildx {e.buildx}, {e.storage}" for e in engines)
        facts["machine"] = _each(
            f"{e.architecture}, {e.cpus} CPUs, {e.memory / 2**30:.1f} GiB" for e in engines
        )
        facts["GPU"] = _each(e.gpu or "none on this engine" for e in engines)
    bases = Counter(
        f"{image.base} ({image.base_origin}, {image.base_digest[:19]})"
        for cell in judged.cells
        if cell.result and (image := cell.result.image)
    )
    facts["base images"] = "\n".join(f"{base}: {_cells(n)}" for base, n in sorted(bases.items()))
    indexes = Counter(
        f"torch from {lock.torch_backend or 'the default index'}"
        + (", which stands in for one that could not be reached" if lock.fallback else "")
        for cell in judged.cells
        if cell.result and (lock := cell.result.lock)
    )
    facts["indexes"] = "\n".join(f"{kind}: {_cells(n)}" for kind, n in sorted(indexes.items()))
    return {
        name: "\n".join(map(printable, fact.split("\n"))) for name, fact in facts.items() if fact
    }


def _each(facts: Iterable[str]) -> str:
    """Return facts, each once, on lines of their own."""
    return "\n".join(dict.fromkeys(facts))


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"


def _duration(span: timedelta) -> str:
    minutes, seconds = divmod(max(0, round(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join([*parts, f"{seconds} s"])
