"""Executes a run on this machine: new, resumed, or one cell of a plan."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from matrixci.engine.client import Engine
from matrixci.engine.limits import check_limits
from matrixci.errors import EngineError
from matrixci.execution.listener import Listener
from matrixci.execution.new_run import new_run
from matrixci.execution.pipeline import Pipeline
from matrixci.execution.pipeline_factory import build_pipeline
from matrixci.execution.preflight import check_free_space
from matrixci.execution.resume import Resumption
from matrixci.execution.run_context import RunContext
from matrixci.execution.settings import Settings, resolver_for
from matrixci.execution.used_images import UsedImages
from matrixci.execution.work_dir_use import WorkDirUse, in_use
from matrixci.locks.providers import StoredLocks
from matrixci.locks.resolver import Resolver
from matrixci.locks.unknown_requirements import reject_unknown
from matrixci.matrix.selection import SelectedCells
from matrixci.model import Cell, CellResult, Run, now
from matrixci.runs.folder import RunFolder
from matrixci.runs.stored_checks import store_checks
from matrixci.util.leftover_processes import sweep_orphans
from matrixci.util.temp_dirs import sweep_temporary_folders
from matrixci.util.text import several
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder


async def check_requirements(resolver: Resolver, settings: Settings, cells: Sequence[Cell]) -> None:
    """Check that the index has a release for each requirement, if it can be reached.

    Raises:
        UsageError: the index has no release that meets a requirement on any Python.
    """
    await reject_unknown(
        resolver,
        cells,
        settings.subject.subject,
        settings.matrix.requires,
        as_of=settings.as_of,
    )


_THREADS: Final = 64


async def execute(
    settings: Settings, chosen: SelectedCells, listener: Listener, command: Sequence[str]
) -> JudgedRun:
    """Run the cells, write the run's folder, and return the judged run.

    When cancelled, it cleans up and returns the run with the results so far.

    Raises:
        EngineError: no engine is running.
        DiskFullError: a disk has too little free space.
        RunFilesError: the run's folder cannot be written.
        UsageError: the package index has no release for a requirement.
    """
    use_threads()
    engine = await Engine.connect()
    await preflight(settings, engine, listener)
    resolver = resolver_for(settings, engine.facts.architecture)
    await check_requirements(resolver, settings, chosen.cells)
    run = new_run(settings, chosen, command)
    folder = RunFolder.create(settings.work_dir, run.id)
    with folder.held():
        folder.write_run(run)
        store_checks(folder.path, settings.sources)
        folder.point_latest()
        context = RunContext(
            settings=settings, run=run, folder=folder, engine=engine, listener=listener
        )
        return await run_and_judge(run, build_pipeline(context, resolver))


async def resume(resumption: Resumption, listener: Listener) -> JudgedRun:
    """Run the cells of a run that have no final result, and return the judged run.

    When cancelled, it cleans up and returns the run with the results so far.

    Raises:
        EngineError: no engine is running.
        DiskFullError: a disk has too little free space.
        RunFilesError: the run's folder cannot be written.
        UsageError: another process is executing the run.
    """
    use_threads()
    folder = RunFolder(resumption.stored.folder)
    with folder.held():
        engine = await Engine.connect()
        await preflight(resumption.settings, engine, listener)
        for problem in resumption.problems:
            listener.said(problem)
        folder.write_run(resumption.run)
        store_checks(folder.path, resumption.settings.sources)
        folder.point_latest()
        locks = StoredLocks(
            resumption.locks, resolver_for(resumption.settings, engine.facts.architecture)
        )
        context = RunContext(
            settings=resumption.settings,
            run=resumption.run,
            folder=folder,
            engine=engine,
            listener=listener,
        )
        return await run_and_judge(resumption.run, build_pipeline(context, locks), resumption)


def use_threads() -> None:
    """Give the event loop enough threads, since each running container may block one."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))


async def preflight(settings: Settings, engine: Engine, listener: Listener) -> None:
    """Check limits and free disk space before anything is built."""
    required = settings.options.require_limits
    if remark := check_limits(engine.facts, engine.host, required=required):
        listener.said(remark)
    needed = settings.matrix.limits.min_free_disk
    if remark := await check_free_space(engine, settings.work_dir, needed):
        listener.said(remark)


async def _replace_images(
    images: UsedImages, use: WorkDirUse, results: Mapping[str, CellResult]
) -> str | None:
    """Remove images that the run has replaced, and return a remark about it, if there are any.

    If another process uses the work directory, a later run removes them.

    Raises:
        EngineError: the engine failed.
    """
    with use.alone() as alone:
        gone = await images.remove_superseded(results) if alone else 0
    return f"removed {several(gone, 'image')} of earlier runs of this matrix" if gone else None


async def _sweep(engine: Engine, listener: Listener) -> None:
    """Clean up after runs that were killed."""
    # Processes first, since they may use the rest.
    if swept := await asyncio.to_thread(sweep_orphans):
        listener.said(f"stopped {swept} processes left by an earlier run")
    if swept := await engine.cleanup.sweep():
        listener.said(f"cleaned up {swept} containers and volumes left by an earlier run")
    if swept := await asyncio.to_thread(sweep_temporary_folders):
        listener.said(f"removed {swept} temporary folders left by an earlier run")


async def run_and_judge(
    run: Run, pipeline: Pipeline, resumption: Resumption | None = None
) -> JudgedRun:
    """Run the cells of a run, write how it ended, and judge it.

    Args:
        run: the run; with fewer cells than the pipeline's, if others run elsewhere.
        pipeline: runs the cells.
        resumption: the cells that are left of a resumed run; None: all.
    """
    context, used_images = pipeline.context, pipeline.tools.used_images
    engine, listener = context.engine, context.listener
    cells = run.cells if resumption is None else resumption.cells
    before = {} if resumption is None else resumption.stored.results
    listener.planned(cells)
    await _sweep(engine, listener)
    with in_use(used_images.work_dir) as use:
        results, interrupted = await pipeline.execute(cells)
        known = interrupted or run.plan is not None  # a plan has the reasons already
        older = run.older if known else await pipeline.older({**before, **results})
        await pipeline.tools.close()
        with suppress(EngineError):  # the engine is gone; the next run cleans up
            await engine.cleanup.remove_run(run.id)
            if remark := await _replace_images(used_images, use, results):
                listener.said(remark)
    ending = {"ended": now(), "engine": engine.facts, "interrupted": interrupted, "older": older}
    context.folder.write_run(run.model_copy(update=ending))
    return judge_folder(context.folder.path)
