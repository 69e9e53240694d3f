"""The main job: execute a run, and judge it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from matrixci.cells import Chosen
from matrixci.engine import Engine
from matrixci.errors import EngineError
from matrixci.events import Listener
from matrixci.judge import judge
from matrixci.judged import JudgedRun
from matrixci.model import Run, now
from matrixci.new_run import new_run
from matrixci.pipeline import Pipeline, Settings
from matrixci.preflight import make_sure_of_room
from matrixci.resume import Resumption
from matrixci.run_folder import RunFolder, read_run

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
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    engine = await Engine.connect()
    await _look_ahead(settings, engine, listener)
    run = new_run(settings, chosen, command)
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
