"""Live progress: a table that redraws in a terminal, one line per event elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from matrixci.model import Cell, CellResult, Reason, StepName
from matrixci.outcomes import GREEN
from matrixci.reports.symbols import CELL_GLYPHS
from matrixci.util.text import in_line, several

_INTERVAL_SECONDS: Final = 30.0
_WORDS: Final[Mapping[StepName, str]] = {
    StepName.RESOLVE: "resolving",
    StepName.WAIT_BUILD: "waiting to build",
    StepName.BUILD: "building",
    StepName.WAIT_RUN: "waiting for a free slot",
    StepName.START: "starting",
    StepName.CHECKS: "running checks",
    StepName.COLLECT: "collecting",
}


class Progress:
    """Shows the progress of a run."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock.

        Args:
            console: the terminal or file to print to.
            clock: returns seconds since a fixed moment.
        """
        self._console = console
        self._now = clock
        self._stages: dict[str, float] = {}  # work for several cells, and when it began
        self._cells: tuple[Cell, ...] = ()
        self._steps: dict[str, tuple[StepName, float]] = {}
        self._results: dict[str, CellResult] = {}
        self._began = clock()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2)

    def showing(self) -> AbstractContextManager[object]:
        """Return a context that shows progress: a live table, or lines at intervals."""
        return self._live if self._console.is_terminal else self._reporting()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        over = threading.Event()

        def report() -> None:
            while not over.wait(_INTERVAL_SECONDS):
                self.report()

        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def report(self) -> None:
        """Print what is running in one line; called from another thread."""
        now = self._now()
        words = [f"{what} ({now - since:.0f} s)" for what, since in list(self._stages.items())]
        steps = Counter(
            step for cell, (step, _) in list(self._steps.items()) if cell not in self._results
        )
        words += [f"{several(count, 'cell')} {_WORDS[step]}" for step, count in steps.items()]
        if words:
            self._line(f"running: {', '.join(words)}")

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Show work that is done for several cells, and how long it took."""
        self._stages[what] = began = self._now()
        try:
            yield
        finally:
            del self._stages[what]
        if (seconds := self._now() - began) >= 1:
            self._line(f"{what}: done in {seconds:.0f} s")

    def planned(self, cells: tuple[Cell, ...]) -> None:
        """Show the number of cells."""
        self._cells = cells
        self._line(several(len(cells), "cell"))

    def entered(self, cell: Cell, step: StepName) -> None:
        """Show that a cell has entered a step."""
        self._steps[cell.id] = (step, self._now())
        self._line(f"{cell.id}: {_WORDS[step]}")

    def ended(self, result: CellResult) -> None:
        """Show the outcome of a cell."""
        self._results[result.cell.id] = result
        self._line(f"{result.cell.id}: {_ending(result)}")

    def said(self, text: str) -> None:
        """Show a remark."""
        line = Text(f"{self._clock()} ", style="dim").append(in_line(text), style="default")
        self._console.print(line, soft_wrap=True)

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(Text(f"{self._clock()} {in_line(text)}"), soft_wrap=True)

    def _clock(self) -> str:
        seconds = int(self._now() - self._began)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(f"{self._clock()}  {len(self._results)}/{len(self._cells)} cells")
        table.add_column("step", no_wrap=True)  # one line each
        table.add_column("for", justify="right")
        stages = list(self._stages.items())
        for what, since in stages:
            table.add_row(Text(what), "running", f"{self._now() - since:.0f} s")
        shown = self._shown(self._console.size.height - 1 - len(stages))
        for cell in shown:
            table.add_row(*map(Text, (cell.id, *self._row(cell))))
        if rest := [cell for cell in self._cells if cell not in shown]:
            kinds = Counter(self._kind(cell) for cell in rest)
            counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            table.add_row(Text(f"… and {len(rest)} more"), Text(counts))
        return table

    def _shown(self, room: int) -> Sequence[Cell]:
        """Return the cells that fit on the screen, running ones first."""
        if len(self._cells) <= room or len(self._results) == len(self._cells):
            return self._cells
        running: list[Cell] = []
        ended: list[Cell] = []
        waiting: list[Cell] = []
        for cell in self._cells:
            if cell.id in self._results:
                ended.append(cell)
            else:
                (running if cell.id in self._steps else waiting).append(cell)
        return [*running, *ended, *waiting][: max(1, room - 1)]

    def _kind(self, cell: Cell) -> str:
        if result := self._results.get(cell.id):
            return str(result.outcome)
        return "running" if cell.id in self._steps else "waiting"

    def _row(self, cell: Cell) -> tuple[str, str]:
        if result := self._results.get(cell.id):
            return in_line(_ending(result)), ""
        if entered := self._steps.get(cell.id):
            step, since = entered
            return _WORDS[step], f"{self._now() - since:.0f} s"
        return "waiting", ""


def _ending(result: CellResult) -> str:
    text = f"{CELL_GLYPHS[result.outcome]} {result.outcome}"
    if result.reused_from is not None:
        return f"{text} (reused from {result.reused_from})"
    if not result.message:
        return text
    # The counts of checks complete the outcome; any other message explains it.
    counts = result.outcome in GREEN or result.reason is Reason.CHECKS
    return f"{text}{', ' if counts else ': '}{result.message.splitlines()[0]}"
