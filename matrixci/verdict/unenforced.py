"""Limits that the engine did not enforce for the cells of a judged run."""

from collections import Counter

from matrixci.model import Run
from matrixci.outcomes import FROM_CHECKS
from matrixci.util.text import in_line, several
from matrixci.verdict.judged import JudgedCell, JudgedRun


def unenforced_in(run: Run, cell: JudgedCell) -> tuple[str, ...]:
    """Return the limits that were not enforced for a cell, or () if no container ran."""
    if cell.result is None or cell.outcome not in FROM_CHECKS:
        return ()
    recorded = cell.result.unenforced
    return run.unenforced if recorded is None else recorded


def unenforced_words(judged: JudgedRun) -> str:
    """Return the limits that were not enforced, with the number of cells unless it is all.

    If no cell ran, return the limits that the engines of the run cannot enforce.
    """
    ran = [cell for cell in judged.cells if cell.outcome in FROM_CHECKS]
    if not ran:
        return ", ".join(judged.run.unenforced)
    count = Counter(limit for cell in ran for limit in unenforced_in(judged.run, cell))
    return ", ".join(
        in_line(limit)
        if number == len(ran)
        else f"{in_line(limit)} ({number} of {several(len(ran), 'cell')})"
        for limit, number in count.items()
    )
