"""Events of a run, as it reports them."""

from typing import Protocol

from matrixci.model import Cell, CellResult, StepName
from matrixci.util.stages import StageListener


class Listener(StageListener, Protocol):
    """Receives the events of a run; called from the event loop, so it must not block."""

    def planned(self, cells: tuple[Cell, ...]) -> None:
        """The cells of the run are known."""

    def entered(self, cell: Cell, step: StepName) -> None:
        """A cell has entered a step."""

    def ended(self, result: CellResult) -> None:
        """A cell has a result."""
