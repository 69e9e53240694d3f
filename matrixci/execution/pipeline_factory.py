"""Builds the pipeline of a run from its context."""

import asyncio

from matrixci.engine.client import Engine
from matrixci.execution.cell_runner import CellRunner
from matrixci.execution.pipeline import Pipeline
from matrixci.execution.retry import RetryPolicy
from matrixci.execution.run_context import RunContext, RunTools
from matrixci.execution.run_setup import image_settings
from matrixci.execution.used_images import UsedImages
from matrixci.images.assembled_bases import AssembledBases
from matrixci.images.base_contents import ContentsReader
from matrixci.images.base_images import BaseImages
from matrixci.images.build_cache import CacheInUse
from matrixci.images.build_services import BuildServices
from matrixci.images.cell_images import CellImages
from matrixci.images.registry import Registry
from matrixci.locks.providers import LockProvider
from matrixci.matrix.limits import Limits
from matrixci.runs.result_cache import ResultStore
from matrixci.sandbox.container import Sandbox


def build_pipeline(context: RunContext, locks: LockProvider) -> Pipeline:
    """Return the pipeline of a run; nothing is started yet.

    Args:
        context: the run.
        locks: where the locks of its cells come from.
    """
    settings = context.settings
    jobs = settings.options.jobs or default_jobs(context.engine, settings.matrix.limits)
    tools = build_tools(context, locks, jobs)
    runner = CellRunner(
        context, tools, _sandbox(context, tools.used_images), asyncio.Semaphore(jobs)
    )
    return Pipeline(context, tools, runner, RetryPolicy(retries=settings.matrix.retries))


def default_jobs(engine: Engine, limits: Limits) -> int:
    """Return how many cells the engine can run at a time with all their CPUs and memory."""
    by_cpu = int(engine.facts.cpus // limits.cpus)
    by_memory = int(engine.facts.memory * 0.9 // limits.memory)
    return max(1, min(by_cpu, by_memory))


def build_tools(context: RunContext, locks: LockProvider, jobs: int) -> RunTools:
    """Return the sources of locks, images and earlier results of a run.

    Args:
        context: the run.
        locks: where the locks of its cells come from.
        jobs: maximum number of builds at a time.
    """
    settings, engine = context.settings, context.engine
    registry = _registry(context)
    services = BuildServices(
        engine=engine,
        logs=context.folder.logs,
        listener=context.listener,
        registry=registry,
        cache=_build_cache(context),
    )
    options = settings.options
    assembled = AssembledBases(services)
    bases = BaseImages(engine, assembled, options.base_origin, context.listener.said)
    common = image_settings(
        settings.setup, context.run.cells, settings.wheels, jobs, keep_wheels=options.keep_wheels
    )
    images = CellImages(services, bases, locks, common)
    return RunTools(
        locks=locks,
        bases=bases,
        images=images,
        contents=ContentsReader(engine, settings.work_dir),
        registry=registry,
        used_images=UsedImages(engine, settings.work_dir, context.run),
        results=ResultStore(settings.work_dir / "results"),
    )


def _registry(context: RunContext) -> Registry | None:
    repository = context.settings.options.registry
    if not repository:
        return None
    time_limit = context.settings.matrix.limits.build_timeout
    return Registry(context.engine, repository, time_limit, context.listener.said)


def _build_cache(context: RunContext) -> CacheInUse | None:
    cache = context.settings.options.build_cache
    if cache is None:
        return None
    exportable = context.engine.images.uses_containerd
    return CacheInUse(cache, context.listener.said, exportable=exportable)


def _sandbox(context: RunContext, used_images: UsedImages) -> Sandbox:
    settings = context.settings
    return Sandbox(
        run=context.run.id,
        subject=settings.subject.subject.name,
        checks=settings.sources,
        select=settings.check_filter,
        only=None,
        limits=settings.setup.limits,
        environment=settings.setup.environment,
        folder=used_images.folder.id,
        known_issues=context.run.known_issues,
        require_limits=settings.options.require_limits,
    )
