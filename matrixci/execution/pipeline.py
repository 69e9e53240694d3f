"""Runs the cells of a run in parallel, with retries and an outcome for every error."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import assert_never

from matrixci.errors import BaseImageError, EngineError, ResolverError, RunFilesError
from matrixci.execution.cell_recorder import CellRecorder
from matrixci.execution.retry import RetryPolicy, retry
from matrixci.execution.run_context import RunContext, RunTools
from matrixci.images.buildx import BuildError
from matrixci.locks.held_back import LockedCell, held_back_releases
from matrixci.locks.own_wheels import compared_packages
from matrixci.model import Cell, CellOutcome, CellResult, Reason, now
from matrixci.outcomes import GREEN
from matrixci.util.text import in_line
from matrixci.verdict.judge import judge_cell

RunCell = Callable[[CellRecorder], Awaitable[CellResult]]
_log = logging.getLogger(__name__)


class Pipeline:
    """Runs the cells of one run and writes their results."""

    def __init__(
        self, context: RunContext, tools: RunTools, run_cell: RunCell, policy: RetryPolicy
    ) -> None:
        """Set up without starting anything.

        Args:
            context: the run.
            tools: closed at the end; its result store keeps green results.
            run_cell: runs one cell.
            policy: how often a cell is retried after a failure of the infrastructure.
        """
        self.context = context
        self.tools = tools
        self._run_cell = run_cell
        self._policy = policy

    async def execute(self, cells: Iterable[Cell]) -> tuple[dict[str, CellResult], bool]:
        """Run cells, and write each result as soon as there is one.

        When cancelled, it stops builds and containers, and returns the results so far; the other
        cells are `cancelled`.

        Returns:
            Cell id to result, and whether it was cancelled.
        """
        tasks = [asyncio.create_task(self._finish(cell)) for cell in cells]
        interrupted = False
        try:
            await asyncio.wait(tasks)
            await self.tools.finish()
        except asyncio.CancelledError:
            interrupted = True
            for task in tasks:
                task.cancel()
            # Work that cells share is not part of their tasks.
            await self.tools.close()
        results = await asyncio.gather(*tasks)
        return {result.cell.id: result for result in results}, interrupted

    async def _finish(self, cell: Cell) -> CellResult:
        """Run one cell, and write its result."""
        result = await self._result(cell)
        self.context.folder.write_cell(result)
        judged = judge_cell(result, self.context.run.known_issues, now().date())
        if judged.outcome in GREEN:  # known issues included
            self._store(result)
        shown = {"outcome": judged.outcome, "reason": judged.reason, "message": judged.message}
        self.context.listener.ended(result.model_copy(update=shown))
        return result

    async def _result(self, cell: Cell) -> CellResult:
        """Return the result of a cell; every error becomes an outcome."""
        listener = self.context.listener
        recorder = CellRecorder(run=self.context.run.id, cell=cell, listener=listener)

        async def attempt(number: int) -> CellResult:
            recorder.begin(number)
            return await self._run_cell(recorder)

        def report(number: int, seconds: float, error: BaseException) -> None:
            first = in_line(str(error).partition("\n")[0])
            again = f"attempt {number} of {self._policy.retries + 1}; retrying in {seconds:.0f} s"
            listener.said(f"{cell.id}: {first} ({again})")

        try:
            return await retry(self._policy, attempt, report)
        except asyncio.CancelledError:
            return recorder.end(CellOutcome.CANCELLED, Reason.INTERRUPTED, "interrupted")
        except BuildError as error:
            return recorder.end(CellOutcome.BLOCKED, Reason.BUILD, str(error))
        except (ResolverError, BaseImageError, EngineError) as error:
            return recorder.end(CellOutcome.ERROR, _reason(error), str(error))
        except (RunFilesError, OSError) as error:
            message = f"A file of the run cannot be written: {error}"
            return recorder.end(CellOutcome.ERROR, Reason.INTERNAL, message)
        except Exception as error:  # noqa: BLE001
            # A defect in matrixci must not cost the other cells their results.
            _log.exception("%s: defect in matrixci", cell.id)
            message = f"defect in matrixci: {error!r}"
            return recorder.end(CellOutcome.ERROR, Reason.INTERNAL, message)

    def _store(self, result: CellResult) -> None:
        """Store a green result for later runs."""
        if result.reused_from is None and result.log is not None:
            self.tools.results.keep(result, self.context.folder.path / result.log)

    async def older(self, results: Mapping[str, CellResult]) -> dict[str, dict[str, str]]:
        """Return, for cells that have an older release of a package than others, the reason."""
        locked = [
            LockedCell(cell=result.cell, versions=result.lock.versions)
            for result in results.values()
            if result.lock is not None
        ]
        subject = self.context.settings.subject.subject
        packages = compared_packages(self.context.run)
        return await held_back_releases(self.tools.locks, subject, packages, locked)


def _reason(error: ResolverError | BaseImageError | EngineError) -> Reason:
    match error:
        case ResolverError():
            return Reason.INDEX
        case BaseImageError():
            return Reason.BASE
        case EngineError():
            return Reason.ENGINE
        case _ as never:
            assert_never(never)
