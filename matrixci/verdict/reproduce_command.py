"""The commands that run a cell, a check or a run again, for use in reports."""

from collections.abc import Sequence
from datetime import UTC
from typing import Final

from matrixci.model import CellResult, Run
from matrixci.util.invocation import argv, command_of, given

_REPRODUCE: Final = "reproduce"
_MATRIX: Final = "matrix"
_AS_OF: Final = "--as-of"
_REPEATED: Final = ("--matrix", "--checks", "--base", "--work-dir")
"""Options of the run that a command for one of its cells must repeat."""


def reproduction(run: Run, cell_id: str, result: CellResult | None) -> tuple[str, ...]:
    """Return the command that reproduces the result of a cell.

    Args:
        run: the run.
        cell_id: the cell.
        result: the result of the cell. Without a lock, the cell is resolved again.
    """
    if run.setup is None or result is None or result.lock is None:
        return anew_command(run, cell_id)
    return reproduce_command(run, cell_id)


def of_check(command: Sequence[str], check_id: str) -> tuple[str, ...]:
    """Return the command for one check, given the command of its cell."""
    return (*command, *words_of_check(command, check_id)) if command else ()


def words_of_check(command: Sequence[str], check_id: str) -> tuple[str, ...]:
    """Return the arguments that restrict the command of a cell to one check."""
    if command_of(command) == _REPRODUCE:
        return (check_id,)
    path, _, name = check_id.partition("[")[0].rpartition("::")
    # --check treats text with a blank outside brackets as an expression of words.
    blank = any(letter.isspace() for letter in path + name)
    return ("--check", name if blank else check_id)


def reproduce_command(run: Run, cell_id: str, check_id: str = "") -> tuple[str, ...]:
    """Return the command that runs a cell, or one of its checks, with the lock of the run."""
    check = (check_id,) if check_id else ()
    work_dir = given(run.command, "--work-dir")
    option = ("--work-dir", work_dir) if work_dir else ()
    return argv(run.called_by, _REPRODUCE, (cell_id, *check, "--run", run.id, *option))


def anew_command(run: Run, cell_id: str) -> tuple[str, ...]:
    """Return the command that resolves and runs a cell as a new run."""
    words = ["--cell", cell_id, "--subject", run.subject.spec]
    words += [_AS_OF, run.as_of.isoformat()] if run.as_of else []
    for option in _REPEATED:
        value = given(run.command, option)
        words += [option, value] if value else []
    return argv(run.called_by, _MATRIX, words)


def run_command(run: Run) -> tuple[str, ...]:
    """Return the command that repeats a run with the package index of the same day."""
    command, *words = run.command or (_MATRIX,)
    if given(words, _AS_OF) is None:
        day = run.as_of or run.began.astimezone(UTC).date()
        words += [_AS_OF, day.isoformat()]
    return argv(run.called_by, command, words)
