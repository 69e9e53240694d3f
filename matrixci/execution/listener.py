"""What a run reports while it is under way."""

from typing import Protocol

from matrixci.model import Cell, CellResult, StepName
from matrixci.util.stages import StageListener


class Listener(StageListener, Protocol):
    """Hears how a run goes on; called from the event loop, so it must be quick."""

    def planned(self, cells: tuple[Cell, ...]) -> None:
        """The cells of the run are known."""

    def entered(self, cell: Cell, step: StepName) -> None:
        """A cell has entered a step."""

    def ended(self, result: CellResult) -> None:
        """A cell has come to its outcome."""
