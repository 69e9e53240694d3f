"""Collects the result of a cell."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from matrixci.execution.listener import Listener
from matrixci.model import Cell, CellOutcome, CellResult, Reason, Step, StepName, now
from matrixci.util.redaction import redact


@dataclass(kw_only=True)
class CellRecorder:
    """Collect a cell's steps and findings until its CellResult is built."""

    run: str
    cell: Cell
    listener: Listener
    steps: list[Step] = field(default_factory=list)
    found: dict[str, object] = field(default_factory=dict)
    attempts: int = 1

    def begin(self, attempt: int) -> None:
        """Start an attempt, and discard the findings of the one before."""
        self.attempts = attempt
        self.steps.clear()
        self.found.clear()

    @contextmanager
    def step(self, name: StepName) -> Iterator[None]:
        """Record when a step began and ended, even if it fails."""
        began = now()
        self.listener.entered(self.cell, name)
        try:
            yield
        finally:
            self.add(name, began, now())

    def add(self, name: StepName, began: datetime, ended: datetime) -> None:
        """Record a step that was timed elsewhere."""
        self.steps.append(Step(name=name, began=began, ended=max(began, ended)))

    def end(
        self, outcome: CellOutcome, reason: Reason | None = None, message: str = ""
    ) -> CellResult:
        """Return the result, with everything that was recorded."""
        return CellResult.model_validate(
            {
                "run": self.run,
                "cell": self.cell,
                "outcome": outcome,
                "reason": reason,
                "message": redact(message),
                "steps": tuple(self.steps),
                "attempts": self.attempts,
                **self.found,
            }
        )
