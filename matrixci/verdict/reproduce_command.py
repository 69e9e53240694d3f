"""The commands that run a cell again; each failure in every report carries one."""

from collections.abc import Sequence
from datetime import UTC
from typing import Final

from matrixci.model import CellResult, Run
from matrixci.util.invocation import argv, command_of, given

_REPRODUCE: Final = "reproduce"
_MATRIX: Final = "matrix"
_AS_OF: Final = "--as-of"
_REPEATED: Final = ("--matrix", "--checks", "--base", "--work-dir")
"""Options of a run without which a cell of it would be another one."""


def reproduction(run: Run, cell_id: str, result: CellResult | None) -> tuple[str, ...]:
    """Return the command that shows again what came of a cell.

    Args:
        run: the run.
        cell_id: the cell.
        result: what came of it; without a lock there is nothing to run again as it was.
    """
    if run.setup is None or result is None or result.lock is None:
        return anew_command(run, cell_id)
    return reproduce_command(run, cell_id)


def of_check(command: Sequence[str], check_id: str) -> tuple[str, ...]:
    """Return the command for one check of a cell, made of the cell's own."""
    return (*command, *words_of_check(command, check_id)) if command else ()


def words_of_check(command: Sequence[str], check_id: str) -> tuple[str, ...]:
    """Return what is appended to a cell's command to make it that of one check."""
    if command_of(command) == _REPRODUCE:
        return (check_id,)
    path, _, name = check_id.partition("[")[0].rpartition("::")
    # A blank outside of brackets makes a selection an expression of words.
    blank = any(letter.isspace() for letter in path + name)
    return ("--check", name if blank else check_id)


def reproduce_command(run: Run, cell_id: str, check_id: str = "") -> tuple[str, ...]:
    """Return the command that runs a cell, or one of its checks, again as it was in a run."""
    check = (check_id,) if check_id else ()
    work_dir = given(run.command, "--work-dir")
    elsewhere = ("--work-dir", work_dir) if work_dir else ()
    return argv(run.called_by, _REPRODUCE, (cell_id, *check, "--run", run.id, *elsewhere))


def anew_command(run: Run, cell_id: str) -> tuple[str, ...]:
    """Return the command that runs a cell from its requirements on, as a run of its own."""
    words = ["--cell", cell_id, "--subject", run.subject.spec]
    words += [_AS_OF, run.as_of.isoformat()] if run.as_of else []
    for option in _REPEATED:
        value = given(run.command, option)
        words += [option, value] if value else []
    return argv(run.called_by, _MATRIX, words)


def run_command(run: Run) -> tuple[str, ...]:
    """Return the command that makes a whole run again, from the index as it was that day."""
    command, *words = run.command or (_MATRIX,)
    if given(words, _AS_OF) is None:
        day = run.as_of or run.began.astimezone(UTC).date()
        words += [_AS_OF, day.isoformat()]
    return argv(run.called_by, command, words)
