"""Listeners of runs."""

from contextlib import AbstractContextManager, nullcontext

from matrixci.model import Cell, CellResult, StepName


class RecordingListener:
    """Record what a run reports; implements `matrixci.execution.listener.Listener`."""

    def __init__(self) -> None:
        self.cells: list[str] = []
        self.results: list[CellResult] = []
        self.remarks: list[str] = []

    def planned(self, cells: tuple[Cell, ...]) -> None:
        self.cells = [cell.id for cell in cells]

    def entered(self, cell: Cell, step: StepName) -> None: ...

    def ended(self, result: CellResult) -> None:
        self.results.append(result)

    def stage(self, what: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def said(self, text: str) -> None:
        self.remarks.append(text)
