"""Automatic addition of finished runs to the history. Errors become warnings."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from matrixci.errors import MatrixciError
from matrixci.history.store import History
from matrixci.util.text import in_line
from matrixci.verdict.judged import JudgedRun

_LOCK_TIMEOUT: Final = 5.0

_log = logging.getLogger(__name__)


def record(judged: JudgedRun, path: Path, say: Callable[[str], None]) -> bool:
    """Add a run to the history if it is finished and has results; return whether it was added.

    A damaged history is renamed. If it is locked, not writable or of a newer version, there is only
    a warning.

    Args:
        judged: the run, judged without a baseline, as by `history add`.
        path: the history file.
        say: receives each warning, in one line.
    """
    if judged.run.check_filter or not is_finished(judged):
        return False
    try:
        with History.writing(path, say, _LOCK_TIMEOUT) as opened:
            opened.add(judged)
    except (MatrixciError, sqlite3.Error, OSError) as error:
        _log.debug("the history was not written", exc_info=True)
        say(f"warning: the run was not added to the history: {in_line(str(error))}")
        return False
    return True


def is_finished(judged: JudgedRun) -> bool:
    """Return whether a run ended regularly and has at least one result."""
    results = [cell.result is not None for cell in judged.cells]
    ended = not judged.run.interrupted and (judged.run.ended is not None or all(results))
    return ended and any(results)
