"""The main job: plan a run, execute it, and judge it."""

import asyncio
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrixci.cells import Selection, expand, select
from matrixci.engine import Engine
from matrixci.errors import EngineError
from matrixci.events import Listener
from matrixci.judge import judge
from matrixci.judged import JudgedRun
from matrixci.lock import Lock, Unsatisfiable
from matrixci.matrix.definition import Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.model import Cell, Run, now
from matrixci.pipeline import Pipeline, Settings, resolver_for
from matrixci.preflight import make_sure_of_room
from matrixci.redaction import redact
from matrixci.resume import Resumption
from matrixci.run_folder import RunFolder, new_run_id, read_run

_THREADS: Final = 64  # each container's life blocks one now and then


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cells that a command asks for, and those it leaves out."""

    cells: tuple[Cell, ...]
    unselected: tuple[Cell, ...]
    tier: str | None = None


def plan(matrix: Matrix, selection: Selection) -> Plan:
    """Return the cells that a selection leaves of a matrix.

    Raises:
        UsageError: the selection matches nothing.
    """
    every = expand(matrix)
    cells = select(every, selection, matrix.value_ids(), matrix.tiers)
    wanted = {cell.id for cell in cells}
    return Plan(
        cells=cells,
        unselected=tuple(cell for cell in every if cell.id not in wanted),
        tier=selection.tier,
    )


async def resolve_only(
    settings: Settings, cells: Sequence[Cell], architecture: str
) -> dict[str, Lock | Unsatisfiable]:
    """Return each cell's lock, or why there is none; nothing is built.

    Raises:
        ResolverError: the index could not be asked.
    """
    resolver = resolver_for(settings, architecture)
    try:
        answers = await asyncio.gather(
            *(resolver.resolve(cell, settings.subject.subject) for cell in cells)
        )
    finally:
        await resolver.close()
    return {cell.id: answer for cell, answer in zip(cells, answers, strict=True)}


async def execute(
    settings: Settings, planned: Plan, listener: Listener, command: Sequence[str]
) -> JudgedRun:
    """Run the cells, write the run's folder, and judge what it holds.

    Interrupting it (cancelling the task) ends it in order: it returns the judged run, whose exit
    code tells.

    Raises:
        EngineError: no engine answers.
        DiskFullError: a disk that the run would fill has too little room.
        RunFilesError: the run's folder can't be written.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    engine = await Engine.connect()
    await _look_ahead(settings, engine, listener)
    run = _new_run(settings, planned, command)
    folder = RunFolder.create(settings.home, run.id)
    with folder.held():
        return await _go(settings, run, folder, engine, listener)


async def resume(what: Resumption, listener: Listener) -> JudgedRun:
    """Run the cells of a run that have no final result, in its own folder, and judge it.

    Interrupting it (cancelling the task) ends it in order, as it does a new run.

    Raises:
        EngineError: no engine answers.
        DiskFullError: a disk that the run would fill has too little room.
        RunFilesError: the run's folder can't be written.
        UsageError: the run is still under way.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    folder = RunFolder(what.stored.folder)
    with folder.held():
        engine = await Engine.connect()
        await _look_ahead(what.settings, engine, listener)
        for problem in what.stored.problems:
            listener.said(f"a result that can't be read is made anew: {problem}")
        return await _go(what.settings, what.run, folder, engine, listener, resumption=what)


async def _look_ahead(settings: Settings, engine: Engine, listener: Listener) -> None:
    """Refuse to begin where a disk is nearly full."""
    needed = settings.matrix.limits.free_disk
    if remark := await make_sure_of_room(engine, settings.home, needed):
        listener.said(remark)


async def _go(  # noqa: PLR0913 - a run has as many parts
    settings: Settings,
    run: Run,
    folder: RunFolder,
    engine: Engine,
    listener: Listener,
    *,
    resumption: Resumption | None = None,
) -> JudgedRun:
    folder.write_run(run)
    folder.point_latest()
    cells = run.cells if resumption is None else resumption.cells
    before = {} if resumption is None else resumption.stored.results
    listener.planned(cells)
    if swept := await engine.sweep():
        listener.said(f"{swept} containers and volumes of a run that was killed are removed")
    pipeline = Pipeline(settings, run, folder, engine, listener)
    results, interrupted = await pipeline.execute(cells)
    older = run.older if interrupted else await pipeline.older({**before, **results})
    await pipeline.close()
    with suppress(EngineError):  # it is away; the next run sweeps
        await engine.remove_remains(run.id)
    ending = {"ended": now(), "engine": engine.facts, "interrupted": interrupted, "older": older}
    folder.write_run(run.model_copy(update=ending))
    return judge_folder(folder.path)


def judge_folder(
    folder: Path,
    baseline: Path | None = None,
    *,
    whole: bool = False,
    subject_version: str | None = None,
) -> JudgedRun:
    """Judge a run from its files alone.

    Args:
        folder: where they lie.
        baseline: the folder of an earlier run to compare with.
        whole: as a release is judged, where what was not verified stands against it.
        subject_version: the version that most cells must have.

    Raises:
        RunFilesError: the run itself can't be read.
    """
    before = None if baseline is None else judge_folder(baseline)
    stored = read_run(folder)
    return judge(
        stored.run,
        stored.results,
        stored.problems,
        now().date(),
        before,
        whole=whole,
        subject_version=subject_version,
    )


def companions(matrix: Matrix) -> tuple[str, ...]:
    """Return the normalised names of what a matrix requires beside its subject."""
    names = [canonicalize_name(Requirement(text).name) for text in matrix.requires]
    return tuple(dict.fromkeys(names))


def _new_run(settings: Settings, planned: Plan, command: Sequence[str]) -> Run:
    matrix = settings.matrix
    began = now()
    return Run(
        id=new_run_id(began),
        began=began,
        matrixci=distribution_version("matrixci"),
        commit=_commit(),
        command=tuple(map(redact, command)),
        subject=settings.subject.subject,
        companions=companions(matrix),
        as_of=settings.as_of,
        matrix_digest=matrix_digest(matrix),
        axes={axis: tuple(values) for axis, values in matrix.axes.items()},
        cells=planned.cells,
        unselected=tuple(cell.id for cell in planned.unselected),
        unselected_axes={cell.id: cell.axes for cell in planned.unselected},
        tier=planned.tier,
        check_filter=settings.check_filter,
        known_issues=matrix.known_issues,
        gates=matrix.gates.plain(),
        resolver=f"uv {distribution_version('uv')}",
        setup=settings.setup,
    )


def _commit() -> str | None:
    """Return the commit of the working folder, +dirty where files are changed; None outside git."""
    git = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+dirty"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
