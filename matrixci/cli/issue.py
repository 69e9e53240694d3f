"""The command `issue`: report regressions in a GitHub issue."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from matrixci.cli.console import console
from matrixci.errors import UsageError
from matrixci.github.issues import carry_out, open_issues
from matrixci.github.regression_issue import decide, find
from matrixci.util.text import in_line
from matrixci.verdict.judged import JudgedRun


def issue(
    report: Annotated[Path, typer.Argument(help="JSON report of a run.")],
    *,
    about: Annotated[
        str, typer.Option(help="Any text that distinguishes several matrices of one repository.")
    ] = "",
    link: Annotated[str, typer.Option(help="URL of the run's report.")] = "",
) -> None:
    """Open or update a GitHub issue about regressions, and close it when there are none."""
    judged = _read(report)
    action = decide(judged, find(open_issues(), judged, about), about, link)
    console().print(Text(in_line(carry_out(action))), soft_wrap=True)


def _read(path: Path) -> JudgedRun:
    """Read a JSON report.

    Raises:
        UsageError: the file does not exist, or is not a JSON report.
    """
    try:
        return JudgedRun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).partition("\n")[0]
        msg = f"{path} is not a JSON report of a run: {first}"
        raise UsageError(msg) from error
