"""From a matrix to a plan: every cell resolved once, before anything is built."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from packaging.version import Version

from matrixci.execution.execute import make_sure_of_requirements
from matrixci.execution.new_run import new_run
from matrixci.execution.pipeline import Settings, resolver_for
from matrixci.execution.retry import Patience, Told, patiently
from matrixci.fanout.plan import Plan, PlannedCell, PlannedLock, Refusal
from matrixci.locks.held_back import LockedCell, held_back_releases
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.own_wheels import compared_packages
from matrixci.locks.resolver import Resolver
from matrixci.matrix.axes import AxisValue
from matrixci.matrix.cells import Chosen
from matrixci.matrix.definition import Matrix
from matrixci.model import Cell
from matrixci.util.redaction import redact

Answers = Mapping[str, Lock | Unsatisfiable]
"""Cell id to what was resolved for it."""


async def resolve_only(settings: Settings, cells: Sequence[Cell], architecture: str) -> Answers:
    """Return each cell's lock, or why there is none; nothing is built.

    Raises:
        ResolverError: the index could not be asked.
        UsageError: it has no release for a requirement.
    """
    resolver = resolver_for(settings, architecture)
    try:
        answers = await _resolve(resolver, settings, cells)
        await make_sure_of_requirements(resolver, settings, cells)
        return answers
    finally:
        await resolver.close()


async def make_plan(
    settings: Settings,
    chosen: Chosen,
    command: Sequence[str],
    architecture: str,
    *,
    runner_of: Callable[[Cell], tuple[str, ...]],
    tell: Told,
) -> Plan:
    """Return the plan of a run: its cells, and their locks.

    Args:
        settings: what the command asks for.
        chosen: the cells.
        command: argv that makes such a run on one machine.
        architecture: of the containers, as the kernel names it.
        runner_of: the labels of the machine that is to run a cell.
        tell: told of each attempt to ask the index that failed and is followed by another.

    Raises:
        ResolverError: the index could not be asked.
        UsageError: it has no release for a requirement.
    """

    async def attempt(_: int) -> Plan:
        resolver = resolver_for(settings, architecture)
        try:
            return await _plan(settings, chosen, command, architecture, resolver, runner_of)
        finally:
            await resolver.close()

    return await patiently(Patience(retries=settings.matrix.retries), attempt, tell)


async def _plan(
    settings: Settings,
    chosen: Chosen,
    command: Sequence[str],
    architecture: str,
    resolver: Resolver,
    runner_of: Callable[[Cell], tuple[str, ...]],
) -> Plan:
    run = new_run(settings, chosen, command)
    python = max((cell.python for cell in chosen.cells), key=Version)
    answers = await _resolve(resolver, settings, chosen.cells)
    await make_sure_of_requirements(resolver, settings, chosen.cells)
    tools = await resolver.tools(python)
    locks: dict[str, PlannedLock] = {}
    satisfiable: dict[str, PlannedCell] = {}
    refused: dict[str, Refusal] = {}
    for cell in chosen.cells:
        match answer := answers[cell.id]:
            case Lock():
                satisfiable[cell.id] = PlannedCell(
                    lock=answer.digest, fallback=answer.fallback, runner=runner_of(cell)
                )
                locks[answer.digest] = PlannedLock.of(answer)
            case Unsatisfiable():
                refused[cell.id] = Refusal(reason=answer.reason, detail=answer.detail)
            case _ as never:
                assert_never(never)
    locked = [
        LockedCell(cell=cell, versions=answer.versions)
        for cell in chosen.cells
        if isinstance(answer := answers[cell.id], Lock)
    ]
    packages = compared_packages(run)
    older = await held_back_releases(resolver, settings.subject.subject, packages, locked)
    return Plan(
        run=run.model_copy(update={"older": older}),
        matrix=_without_credentials(settings.matrix, run.subject.spec),
        architecture=architecture,
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
    """Return a matrix without the passwords of its URLs: its cells need all but those."""
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
