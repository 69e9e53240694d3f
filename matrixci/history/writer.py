"""Add finished runs to the history without being asked; no fault of the history fails a run."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from matrixci.errors import MatrixciError
from matrixci.history.store import History
from matrixci.util.text import in_line
from matrixci.verdict.judged import JudgedRun

_PATIENCE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


def record(judged: JudgedRun, path: Path, say: Callable[[str], None]) -> bool:
    """Add a run to the history, if it is finished and has results; return whether it is there.

    A history that is damaged is set aside; one that is locked, cannot be written, or was written by
    a newer version, is left alone with a warning.

    Args:
        judged: the run, judged without a baseline, as `history add` judges it.
        path: the history's file.
        say: receives each warning, in one line.
    """
    if judged.run.check_filter or not is_finished(judged):
        return False
    try:
        with History.writing(path, say, _PATIENCE_SECONDS) as opened:
            opened.add(judged)
    except (MatrixciError, sqlite3.Error, OSError) as error:
        _log.debug("the history was not written", exc_info=True)
        say(f"warning: the run was not added to the history: {in_line(str(error))}")
        return False
    return True


def is_finished(judged: JudgedRun) -> bool:
    """Return whether a run came to its end and has a result of some cell."""
    results = [cell.result is not None for cell in judged.cells]
    ended = not judged.run.interrupted and (judged.run.ended is not None or all(results))
    return ended and any(results)
