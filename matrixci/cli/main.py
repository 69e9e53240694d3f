"""The program `matrixci`: its commands, exit codes and signals."""

import logging
import signal
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer

from matrixci.cli import history
from matrixci.cli.axis_options import AXIS_HELP, AXIS_SETTINGS
from matrixci.cli.cell import cell
from matrixci.cli.clean import clean
from matrixci.cli.compare import compare
from matrixci.cli.console import console, print_note
from matrixci.cli.constraints import constraints
from matrixci.cli.help import OrderedGroup, PlainCommand
from matrixci.cli.issue import issue
from matrixci.cli.matrix import matrix
from matrixci.cli.plan import plan
from matrixci.cli.readiness import readiness
from matrixci.cli.report import report
from matrixci.cli.reproduce import reproduce
from matrixci.cli.show import show
from matrixci.errors import ExitCode, MatrixciError
from matrixci.util.redaction import redact
from matrixci.util.text import printable

app = typer.Typer(
    cls=OrderedGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)
for command in (matrix, plan):
    app.command(context_settings=AXIS_SETTINGS, epilog=AXIS_HELP)(command)
for command in (show, reproduce, readiness, compare, constraints, cell, report, issue, clean):
    app.command()(command)
app.add_typer(history.app, name="history")
for registered in (*app.registered_commands, *history.app.registered_commands):
    registered.cls = PlainCommand


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer passes it so
    if value:
        console().print(f"matrixci {version('matrixci')}", highlight=False)
        raise typer.Exit


@app.callback()
def matrixci(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Containerized matrix CI for PyTorch and Hugging Face packages."""


def main() -> None:
    """Run the command line; an expected error is printed without a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with suppress(ValueError):  # not in the main thread
        # A shell starts background jobs with SIGINT ignored; runs must stop cleanly there as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except MatrixciError as error:
        print_note("\n".join(map(printable, redact(str(error)).splitlines())))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _interrupt(*_: object) -> None:
    """Handle SIGTERM like Ctrl-C."""
    signal.raise_signal(signal.SIGINT)
