"""The outcomes of checks and cells, the reasons, and the exit codes.

A member without a meaning here fails the build of the site and the tests.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from matrixci.errors import ExitCode, MatrixciError
from matrixci.model import CellOutcome, CheckOutcome, Reason
from matrixci.outcomes import FAILING, GREEN
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS
from reference_pages.markdown import code, table

_CELLS: Final[Mapping[CellOutcome, str]] = {
    CellOutcome.PASSED: "Every check passed, was skipped, or failed as a known issue predicts.",
    CellOutcome.PARTIAL: "Nothing failed, but some checks need hardware that this machine lacks.",
    CellOutcome.FAILED: "A check failed, or the container left no valid evidence.",
    CellOutcome.UNSATISFIABLE: "The resolver proved that no set of releases fits.",
    CellOutcome.BLOCKED: "The image could not be built because of the packages in it.",
    CellOutcome.ERROR: "The infrastructure failed (index, base image, engine), not the subject.",
    CellOutcome.CANCELLED: "The run was interrupted before the cell finished.",
    CellOutcome.MISSING: "The cell was planned and never reported.",
}
_CHECKS: Final[Mapping[CheckOutcome, str]] = {
    CheckOutcome.PASSED: "The claim holds.",
    CheckOutcome.FAILED: "The check raised an exception, usually a failed assertion.",
    CheckOutcome.CRASHED: "The process of the check was ended by a signal, such as SIGSEGV.",
    CheckOutcome.TIMED_OUT: "The check took longer than `check-timeout`.",
    CheckOutcome.KNOWN_ISSUE: "The check failed as a known issue, or its own `xfail`, predicts.",
    CheckOutcome.UNEXPECTED_PASS: "The check passed, but a known issue predicts a failure.",
    CheckOutcome.FLAKY: "The check failed, and passed when it was run again alone.",
    CheckOutcome.SKIPPED: "The check did not run; the reason is reported.",
    CheckOutcome.MISSING: "The check was collected and never reported a result.",
}
_REASONS: Final[Mapping[Reason, str]] = {
    Reason.CHECKS: "At least one check failed.",
    Reason.OOM: "The container ran out of memory.",
    Reason.TIMED_OUT: "The cell exceeded `cell-timeout` or `no-output-timeout`.",
    Reason.EXIT_STATUS: "The container exited with an unexpected status.",
    Reason.NO_RESULT: "The container left no result file.",
    Reason.INVALID_RESULT: "The result file is damaged or too large.",
    Reason.FOREIGN_RESULT: "The result file belongs to another run, cell or container.",
    Reason.NO_CHECKS: "No check was collected.",
    Reason.INCOMPLETE: "Some collected checks never reported.",
    Reason.NOT_AS_DECLARED: "What is installed in the container differs from the lock or the axes.",
    Reason.RESOLVER: "The resolver proved that there is no solution, or it failed.",
    Reason.INDEX: "The package index could not be reached, or refused the request.",
    Reason.BASE: "The base image could neither be pulled nor assembled.",
    Reason.BUILD: "The build of the image failed.",
    Reason.ENGINE: "The container engine failed or was lost.",
    Reason.MISSING_HARDWARE: "Checks were skipped as the machine lacks hardware, such as a GPU.",
    Reason.INTERRUPTED: "The run was interrupted.",
    Reason.INTERNAL: "An unexpected error in matrixci itself. Please report it.",
}
_EXITS: Final[Mapping[ExitCode, str]] = {
    ExitCode.READY: "The verdict is READY, or the command succeeded.",
    ExitCode.FAILURES: "The verdict is NOT READY because of the subject.",
    ExitCode.USAGE: "A mistake in the command or in matrix.yaml. Nothing ran.",
    ExitCode.INFRASTRUCTURE: "The index, a base image, the engine or a disk failed. Try again.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C or SIGTERM. Finished cells are kept.",
}


def cell_outcomes() -> str:
    """Return the table of cell outcomes."""
    rows = [
        (f"{CELL_GLYPHS[each]} {code(each)}", _yes(each in GREEN), _CELLS[each])
        for each in CellOutcome
    ]
    return table(("outcome", "green", "meaning"), rows)


def check_outcomes() -> str:
    """Return the table of check outcomes."""
    rows = [
        (f"{CHECK_GLYPHS[each]} {code(each)}", _yes(each in FAILING), _CHECKS[each])
        for each in CheckOutcome
    ]
    return table(("outcome", "fails the cell", "meaning"), rows)


def reasons() -> str:
    """Return the table of reasons."""
    return table(("reason", "meaning"), [(code(each), _REASONS[each]) for each in Reason])


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [(code(str(each.value)), each.name.lower(), _EXITS[each]) for each in ExitCode]
    return table(("code", "name", "meaning"), rows)


def errors() -> str:
    """Return the table of errors that end a command, with their exit codes."""
    rows = [
        (code(each.__name__), code(str(each.exit_code.value)), _first_line(each))
        for each in sorted(_subclasses(MatrixciError), key=lambda one: one.exit_code)
    ]
    return table(("class", "code", "raised for"), rows)


def _subclasses(base: type[MatrixciError]) -> Iterator[type[MatrixciError]]:
    for each in base.__subclasses__():
        if each.__module__ == MatrixciError.__module__:
            yield each
            yield from _subclasses(each)


def _first_line(error: type[MatrixciError]) -> str:
    return (error.__doc__ or "").partition("\n")[0]


def _yes(value: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "yes" if value else ""
