"""The command that runs a cell again, or one of its checks, as data."""

from typing import Final

from matrixci.model import Run

_REPEATED: Final = ("--matrix", "--checks", "--base")
"""Options of a run without which a cell of it would be another one."""


def reproduction(run: Run, cell_id: str, check_id: str = "") -> tuple[str, ...]:
    """Return the command (argv) that runs a cell again, or one of its checks."""
    argv = ["python3", "-m", "nox", "-s", "matrix", "--", "--cell", cell_id]
    if check_id:
        argv += ["--check", check_id.rpartition("::")[2].partition("[")[0]]
    argv += ["--subject", run.subject.spec]
    argv += ["--as-of", run.as_of.isoformat()] if run.as_of else []
    given = run.command
    for option in _REPEATED:
        if option in given[:-1]:
            argv += [option, given[given.index(option) + 1]]
    return tuple(argv)
