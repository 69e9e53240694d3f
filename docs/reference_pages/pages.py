"""Markers of the pages, and the pages made from documents in the repository's root."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from reference_pages.commands import commands
from reference_pages.modules import modules
from reference_pages.outcomes import cell_outcomes, check_outcomes, errors, exit_codes, reasons
from reference_pages.report_formats import report_formats
from reference_pages.schema import schema_tables

ROOT: Final = Path(__file__).parents[2]
ROOT_PAGES: Final[Mapping[str, str]] = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
"""Pages of the site that are documents in the repository's root."""

MARKER: Final = re.compile(r"<!-- generated: ([\w-]+) -->.*?<!-- end -->", re.DOTALL)
"""A marker, with the text that a reader of the file sees in place of the table."""
TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands,
    "cell-outcomes": cell_outcomes,
    "check-outcomes": check_outcomes,
    "reasons": reasons,
    "exit-codes": exit_codes,
    "errors": errors,
    "modules": modules,
    "report-formats": report_formats,
    "matrix-yaml": partial(schema_tables, "matrix"),
    "run-json": partial(schema_tables, "run"),
    "cell-json": partial(schema_tables, "cell-result"),
}
"""What a marker is replaced by."""

_LINK: Final = re.compile(r"\[([^\]]+)\]\((?!https?://|#)([^)]+)\)")


def fill(markdown: str) -> str:
    """Return a page with each marker and its text replaced by the table.

    Raises:
        KeyError: a marker names no table.
    """
    return MARKER.sub(lambda found: TABLES[found[1]](), markdown)


def root_page(name: str) -> str:
    """Return a document of the repository's root as a page of the site.

    Links to pages of the site stay links. The site has no other files, so links to those become
    plain paths.

    Args:
        name: of the page, a key of ROOT_PAGES.
    """
    text = (ROOT / ROOT_PAGES[name]).read_text(encoding="utf-8")
    return _LINK.sub(lambda found: _link(found[1], found[2]), text)


def _link(text: str, target: str) -> str:
    pages = {document: page for page, document in ROOT_PAGES.items()}
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')})"
    return f"[{text}]({pages[target]})" if target in pages else f"`{target}`"
