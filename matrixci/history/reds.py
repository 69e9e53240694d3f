"""The day since which each blocker of a run has been red, according to the history."""

from collections.abc import Iterator
from datetime import UTC
from typing import Final

from matrixci.history.database import readable_errors
from matrixci.history.rows import moment
from matrixci.history.series import cell_series
from matrixci.history.store import History
from matrixci.history.streaks import Red, State, is_good, longest, red_before, state_of
from matrixci.history.trends import cells_of
from matrixci.model import CheckOutcome
from matrixci.outcomes import CONCLUSIVE, GREEN
from matrixci.verdict.judged import Blocker, JudgedRun

_MOST_BLOCKERS: Final = 50
_MOST_CELLS: Final = 20
_NOT_GREEN: Final = CONCLUSIVE - GREEN


def reds(history: History, judged: JudgedRun) -> dict[str, Red]:
    """Return the red period of each blocker of a run, by the blocker's text.

    Args:
        history: the history. The run itself and later runs are ignored.
        judged: the run.

    Raises:
        HistoryError: the file cannot be read.
    """
    earlier = _Earlier(history, judged)
    found = {}
    for blocker in judged.blockers[:_MOST_BLOCKERS]:
        with readable_errors(history.path):
            red = longest(earlier.of(blocker))
        if red is not None:
            found[blocker.text] = red
    return found


class _Earlier:
    """The outcomes of the cells of a run in earlier runs."""

    def __init__(self, history: History, judged: JudgedRun) -> None:
        run = judged.run
        self._history = history
        self._run = run
        self._until = (
            moment(run.began, run.as_of).astimezone(UTC).isoformat(timespec="microseconds")
        )
        with readable_errors(history.path):
            self._keys = {cell: key for key, cell in cells_of(history.connection, run).items()}
        self._outcomes = {cell.cell.id: cell.outcome for cell in judged.cells}

    def of(self, blocker: Blocker) -> Iterator[Red]:
        """Yield the red period of each cell of a blocker that the history knows."""
        for cell in blocker.cells[:_MOST_CELLS]:
            if cell not in self._keys:
                continue
            if blocker.check is not None:
                found = red_before(list(self._of_check(self._keys[cell], blocker.check)))
            elif self._outcomes.get(cell) in _NOT_GREEN:
                found = red_before(list(self._of_cell(cell)))
            else:
                continue
            if found is not None:
                yield found

    def _of_check(self, cell: int, check: str) -> Iterator[tuple[bool | None, str]]:
        query = """
            SELECT words.word, runs.moment
            FROM cell_results JOIN runs ON runs.key = cell_results.run
                JOIN checks ON checks.id = :check
                JOIN check_results AS results ON results.run = runs.key
                    AND results.cell = cell_results.cell AND results."check" = checks.key
                JOIN check_outcomes AS words ON words.key = results.outcome
            WHERE cell_results.cell = :cell AND runs.moment <= :until AND runs.id != :run
            ORDER BY runs.moment, runs.began, runs.id
        """
        values = {"check": check, "cell": cell, "until": self._until, "run": self._run.id}
        for word, when in self._history.connection.execute(query, values):
            yield is_good(CheckOutcome(word)), when[:10]

    def _of_cell(self, cell: str) -> Iterator[tuple[bool | None, str]]:
        every = cell_series(self._history, subject=self._run.subject.name, cell=cell)
        for series in every:
            for point in series.points if series.key == self._keys[cell] else ():
                if point.moment <= self._until and point.run != self._run.id:
                    state = state_of(point)
                    good = None if state in {None, State.UNSATISFIABLE} else state is State.GREEN
                    yield good, point.moment[:10]
