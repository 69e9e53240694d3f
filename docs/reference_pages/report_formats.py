"""The formats of the readiness report."""

from typing import Final

from matrixci.reports.formats import FORMATS
from reference_pages.markdown import code, table

_USES: Final = {
    "terminal": "Plain text, as printed by `matrixci readiness`.",
    "html": "One page without network access: open a cell for its checks, log, lock and changes.",
    "markdown": "For a pull request or a job summary. Always smaller than 1 MiB.",
    "junit": "JUnit XML, for CI systems that display test results.",
    "json": "The whole judged run, for other programs. Schema: `report.schema.json`.",
    "badge": "A badge as an image.",
    "shields": "A badge as JSON, for a Shields endpoint.",
    "sarif": "SARIF 2.1.0, for code scanning. Findings point to the line of the check.",
    "github": "GitHub Actions annotations, one workflow command per line.",
}


def report_formats() -> str:
    """Return the table of report formats.

    Raises:
        KeyError: a format has no description here.
    """
    rows = [(code(each.name), code(each.file), _USES[each.name]) for each in FORMATS.values()]
    return table(("format", "file", "use"), rows)
