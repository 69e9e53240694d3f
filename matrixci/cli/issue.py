"""The command that keeps a project's issue on what is worse."""

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
    report: Annotated[Path, typer.Argument(help="The JSON report of a run.")],
    *,
    about: Annotated[
        str, typer.Option(help="Tells the matrices of one repository apart: any text.")
    ] = "",
    link: Annotated[str, typer.Option(help="Address of the run's page.")] = "",
) -> None:
    """Open an issue on a regression, bring it up to date, close it on recovery."""
    judged = _read(report)
    action = decide(judged, find(open_issues(), judged, about), about, link)
    console().print(Text(in_line(carry_out(action))), soft_wrap=True)


def _read(path: Path) -> JudgedRun:
    """Read a JSON report.

    Raises:
        UsageError: it isn't there, or isn't one.
    """
    try:
        return JudgedRun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).partition("\n")[0]
        msg = f"{path} is no JSON report of a run: {first}"
        raise UsageError(msg) from error
