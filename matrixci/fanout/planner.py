"""Makes the plan of a run by resolving all its cells."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from packaging.version import Version

from matrixci.execution.execute import check_requirements
from matrixci.execution.new_run import new_run
from matrixci.execution.retry import OnRetry, RetryPolicy, retry
from matrixci.execution.settings import Settings, resolver_for
from matrixci.fanout.plan import Plan, PlannedCell, PlannedLock, Refusal
from matrixci.locks.held_back import LockedCell, held_back_releases
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.own_wheels import compared_packages
from matrixci.locks.resolver import Resolver
from matrixci.matrix.axes import AxisValue
from matrixci.matrix.definition import Matrix
from matrixci.matrix.selection import SelectedCells
from matrixci.model import Cell
from matrixci.util.redaction import redact

Answers = Mapping[str, Lock | Unsatisfiable]
"""Cell id to its lock, or to the reason why there is none."""


async def resolve_only(settings: Settings, cells: Sequence[Cell], architecture: str) -> Answers:
    """Return the lock of each cell, or the reason why there is none, without building anything.

    Raises:
        ResolverError: the index could not be reached.
        UsageError: the index has no release for a requirement.
    """
    resolver = resolver_for(settings, architecture)
    try:
        answers = await _resolve(resolver, settings, cells)
        await check_requirements(resolver, settings, cells)
        return answers
    finally:
        await resolver.close()


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """A run to plan."""

    settings: Settings
    chosen: SelectedCells
    command: Sequence[str]
    """Command that runs the same cells on one machine."""
    architecture: str
    """Of the containers, as the kernel names it."""
    runner_of: Callable[[Cell], tuple[str, ...]]
    """Returns the labels of the machine that is to run a cell."""


async def make_plan(request: PlanRequest, on_retry: OnRetry) -> Plan:
    """Resolve the cells of a run, and return its plan.

    Args:
        request: the run.
        on_retry: called before another attempt, if the index could not be reached.

    Raises:
        ResolverError: the index could not be reached.
        UsageError: the index has no release for a requirement.
    """

    async def attempt(_: int) -> Plan:
        resolver = resolver_for(request.settings, request.architecture)
        try:
            return await _plan(request, resolver)
        finally:
            await resolver.close()

    policy = RetryPolicy(retries=request.settings.matrix.retries)
    return await retry(policy, attempt, on_retry)


async def _plan(request: PlanRequest, resolver: Resolver) -> Plan:
    settings, cells = request.settings, request.chosen.cells
    run = new_run(settings, request.chosen, request.command)
    python = max((cell.python for cell in cells), key=Version)
    answers = await _resolve(resolver, settings, cells)
    await check_requirements(resolver, settings, cells)
    tools = await resolver.tools(python)
    locks: dict[str, PlannedLock] = {}
    satisfiable: dict[str, PlannedCell] = {}
    refused: dict[str, Refusal] = {}
    locked: list[LockedCell] = []
    for cell in cells:
        match answer := answers[cell.id]:
            case Lock():
                runner = request.runner_of(cell)
                satisfiable[cell.id] = PlannedCell(
                    lock=answer.digest, fallback=answer.fallback, runner=runner
                )
                locks[answer.digest] = PlannedLock.of(answer)
                locked.append(LockedCell(cell=cell, versions=answer.versions))
            case Unsatisfiable():
                refused[cell.id] = Refusal(reason=answer.reason, detail=answer.detail)
            case _ as never:
                assert_never(never)
    subject = settings.subject.subject
    older = await held_back_releases(resolver, subject, compared_packages(run), locked)
    return Plan(
        run=run.model_copy(update={"older": older}),
        matrix=_without_credentials(settings.matrix, run.subject.spec),
        architecture=request.architecture,
        locks=locks,
        cells=satisfiable,
        unsatisfiable=refused,
        tools={python: PlannedLock.of(tools)},
    )


async def _resolve(resolver: Resolver, settings: Settings, cells: Sequence[Cell]) -> Answers:
    subject = settings.subject.subject
    answers = await asyncio.gather(*(resolver.resolve(cell, subject) for cell in cells))
    return {cell.id: answer for cell, answer in zip(cells, answers, strict=True)}


def _without_credentials(matrix: Matrix, subject: str) -> Matrix:
    """Return a matrix without the passwords in its URLs."""
    return matrix.model_copy(
        update={
            "subject": subject,
            **_redacted(matrix),
            "axes": {
                axis: {
                    name: value.model_copy(update=_redacted(value))
                    for name, value in values.items()
                }
                for axis, values in matrix.axes.items()
            },
        }
    )


def _redacted(entry: Matrix | AxisValue) -> dict[str, tuple[str, ...]]:
    shown = tuple(map(redact, entry.requires))
    return {} if shown == entry.requires else {"requires": shown}
