"""The main job: execute a run, and judge it."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from matrixci.cells import Chosen
from matrixci.draft import Draft
from matrixci.engine import Engine
from matrixci.engine_limits import check_limits
from matrixci.errors import DiskFullError, EngineError, UsageError
from matrixci.events import Listener
from matrixci.home_use import HomeUse, in_use
from matrixci.judge import judge
from matrixci.judged import JudgedRun
from matrixci.kept_locks import KeptLocks
from matrixci.model import Cell, CellOutcome, CellResult, Reason, Run, now
from matrixci.new_run import new_run
from matrixci.orphans import sweep_orphans
from matrixci.pipeline import Pipeline, Settings, resolver_for
from matrixci.plan import Plan
from matrixci.planned_cell import run_of
from matrixci.planned_locks import PlannedLocks
from matrixci.planning import make_sure_of_requirements
from matrixci.preflight import make_sure_of_room
from matrixci.resume import Resumption
from matrixci.run_folder import RunFolder, read_run
from matrixci.stored_checks import store_checks
from matrixci.temporary import sweep_temporary_folders
from matrixci.used_images import UsedImages
from matrixci.wording import several

_THREADS: Final = 64  # each container's life blocks one now and then


async def execute(
    settings: Settings, chosen: Chosen, listener: Listener, command: Sequence[str]
) -> JudgedRun:
    """Run the cells, write the run's folder, and judge what it holds.

    Interrupting it (cancelling the task) ends it in order: it returns the judged run, whose exit
    code tells.

    Raises:
        EngineError: no engine answers.
        DiskFullError: a disk that the run would fill has too little room.
        RunFilesError: the run's folder can't be written.
        UsageError: the package index has no release for a requirement.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    engine = await Engine.connect()
    await _look_ahead(settings, engine, listener)
    # It keeps its answers, so nothing is asked twice.
    resolver = resolver_for(settings, engine.facts.architecture)
    await make_sure_of_requirements(resolver, settings, chosen.cells)
    run = new_run(settings, chosen, command)
    folder = RunFolder.create(settings.home, run.id)
    with folder.held():
        folder.write_run(run)
        store_checks(folder.path, settings.sources)
        folder.point_latest()
        pipeline = Pipeline(settings, run, folder, engine, listener, locks=resolver)
        return await _go(run, pipeline, folder, engine, listener)


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
        for problem in what.problems:
            listener.said(problem)
        folder.write_run(what.run)
        store_checks(folder.path, what.settings.sources)
        folder.point_latest()
        locks = KeptLocks(what.locks, resolver_for(what.settings, engine.facts.architecture))
        pipeline = Pipeline(what.settings, what.run, folder, engine, listener, locks=locks)
        return await _go(what.run, pipeline, folder, engine, listener, what)


async def _look_ahead(settings: Settings, engine: Engine, listener: Listener) -> None:
    """Refuse to begin where a disk is nearly full, or limits that must hold would not."""
    required = settings.require_limits
    if remark := check_limits(engine.facts, engine.host, required=required):
        listener.said(remark)
    needed = settings.matrix.limits.free_disk
    if remark := await make_sure_of_room(engine, settings.home, needed):
        listener.said(remark)


async def _replace_images(
    images: UsedImages, use: HomeUse, results: Mapping[str, CellResult]
) -> str | None:
    """Remove images that the run has replaced, and return a line about it, None for no image.

    Where another process is at work in the same folder, a later run removes them.

    Raises:
        EngineError: the engine failed.
    """
    with use.alone() as alone:
        gone = await images.remove_superseded(results) if alone else 0
    return f"removed {several(gone, 'image')} of earlier runs of this matrix" if gone else None


async def _sweep(engine: Engine, listener: Listener) -> None:
    """Remove what runs that were killed have left."""
    # First who might go on to use the rest.
    if swept := await asyncio.to_thread(sweep_orphans):
        listener.said(f"{swept} processes of a run that was killed are ended")
    if swept := await engine.sweep():
        listener.said(f"{swept} containers and volumes of a run that was killed are removed")
    if swept := await asyncio.to_thread(sweep_temporary_folders):
        listener.said(f"{swept} temporary folders of a run that was killed are removed")


async def execute_cell(
    plan: Plan, cell: Cell, settings: Settings, folder: RunFolder, listener: Listener
) -> JudgedRun:
    """Run one cell of a plan into a folder of its own, and judge it.

    Where the machine's own engine can't serve, that is the cell's result: whoever puts the cells
    together learns the reason.

    Args:
        plan: the plan.
        cell: one of its cells.
        settings: what the cell is made with.
        folder: takes the result; nothing of another run lies there.
        listener: told how it goes on.

    Raises:
        UsageError: the engine's architecture isn't the plan's, or the lock is damaged.
        RunFilesError: the folder can't be written.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    run = run_of(plan, cell)
    with folder.held():
        folder.write_run(run)
        store_checks(folder.path, settings.sources)
        try:
            engine = await Engine.connect()
            await _look_ahead(settings, engine, listener)
        except (EngineError, DiskFullError) as error:
            draft = Draft(run=run.id, cell=cell, listener=listener)
            folder.write_cell(draft.end(CellOutcome.ERROR, Reason.ENGINE, str(error)))
            folder.write_run(run.model_copy(update={"ended": now()}))
            return judge_folder(folder.path)
        if engine.facts.architecture != plan.architecture:
            msg = (
                f"The plan is for {plan.architecture}, and the container engine at {engine.host} "
                f"is {engine.facts.architecture}."
            )
            raise UsageError(msg)
        # The shared layers are those of all cells of the plan, whichever of them is made here.
        whole = plan.run.model_copy(update={"plan": plan.digest})
        locks = PlannedLocks.of(plan, cell)
        pipeline = Pipeline(settings, whole, folder, engine, listener, locks=locks)
        return await _go(run, pipeline, folder, engine, listener)


async def _go(  # noqa: PLR0913, PLR0917 - a run has as many parts
    run: Run,
    pipeline: Pipeline,
    folder: RunFolder,
    engine: Engine,
    listener: Listener,
    resumption: Resumption | None = None,
) -> JudgedRun:
    cells = run.cells if resumption is None else resumption.cells
    before = {} if resumption is None else resumption.stored.results
    listener.planned(cells)
    await _sweep(engine, listener)
    with in_use(pipeline.used_images.home) as use:
        results, interrupted = await pipeline.execute(cells)
        planned = run.plan is not None  # why a cell has an older release was found out then
        older = run.older if interrupted or planned else await pipeline.older({**before, **results})
        await pipeline.close()
        with suppress(EngineError):  # it is away; the next run sweeps
            await engine.remove_remains(run.id)
            if told := await _replace_images(pipeline.used_images, use, results):
                listener.said(told)
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
