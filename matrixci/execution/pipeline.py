"""One run: every cell goes from its requirements to its result, side by side with the others."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import assert_never

from matrixci.engine.client import Engine
from matrixci.engine.gpu import GpuAccess
from matrixci.errors import (
    BaseImageError,
    EngineError,
    ResolverError,
    RunFilesError,
)
from matrixci.execution.cell_recorder import Draft
from matrixci.execution.listener import Listener
from matrixci.execution.retry import Patience, patiently
from matrixci.execution.run_setup import image_request, image_settings, resolver_of, setup_of
from matrixci.execution.used_images import UsedImages
from matrixci.images.assembled_bases import AssembledBases
from matrixci.images.base_contents import ContentsReader
from matrixci.images.base_images import BaseImages
from matrixci.images.build_cache import BuildCache, CacheInUse
from matrixci.images.build_services import BuildServices
from matrixci.images.buildx import BuildError
from matrixci.images.cell_images import BuiltImage, CellImages
from matrixci.images.registry import Registry
from matrixci.locks.held_back import LockedCell, held_back_releases
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.own_wheels import KeptWheel, compared_packages
from matrixci.locks.providers import LockProvider
from matrixci.locks.resolver import Resolver
from matrixci.locks.subject import ResolvedSubject
from matrixci.matrix.definition import Limits, Matrix
from matrixci.model import (
    BaseOrigin,
    Cell,
    CellOutcome,
    CellResult,
    LockRecord,
    Reason,
    Run,
    Setup,
    StepName,
    now,
)
from matrixci.outcomes import GREEN, cell_outcome
from matrixci.runs.folder import RunFolder
from matrixci.runs.result_cache import ResultStore
from matrixci.sandbox.container import Sandbox
from matrixci.sandbox.files import Sources, read_sources
from matrixci.util.digests import digest_of
from matrixci.util.files import keep_out_of_git
from matrixci.util.text import in_line
from matrixci.verdict.judge import judge_cell

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command asks for, beside the matrix and the selection."""

    matrix: Matrix
    subject: ResolvedSubject
    checks: Path
    work_dir: Path
    """Where runs, kept results and caches lie."""
    check_filter: str | None
    as_of: date | None
    jobs: int | None
    """Cells under way at once; None: as many as the engine's CPUs and memory carry."""
    fresh: bool
    base_origin: BaseOrigin | None
    registry: str | None = None
    """The repository through which images are shared with other machines."""
    keep_wheels: bool = True
    """Wheels are kept on the engine, for other builds."""
    build_cache: BuildCache | None = None
    checks_chosen: bool = True
    """The matrix or the command names the checks; else the built-in ones serve."""
    require_limits: bool = False
    """An engine that can't enforce every limit of a container is refused."""
    own_wheels: tuple[KeptWheel, ...] = ()
    """The wheels of requirements with a URL, beside the subject's."""

    @cached_property
    def sources(self) -> Sources:
        """The checks, read once: whoever edits one during a run doesn't mix its evidence."""
        return read_sources(self.checks)

    @property
    def wheels(self) -> Mapping[str, Path]:
        """SHA-256 to file of every wheel of our own, the subject's included."""
        own = {each.wheel.digest: each.path for each in self.own_wheels}
        subject = self.subject
        if subject.wheel is None or subject.subject.digest is None:
            return own
        return {**own, subject.subject.digest: subject.wheel}

    @cached_property
    def setup(self) -> Setup:
        """What the containers and images of the run have in common."""
        return setup_of(self.matrix, self.sources, self.base_origin)


def resolver_for(settings: Settings, architecture: str) -> Resolver:
    """Return the resolver for containers of an architecture, as the kernel names it.

    Raises:
        RunFilesError: the folder of its cache can't be made.
    """
    try:
        keep_out_of_git(settings.work_dir)
    except OSError as error:
        msg = f"The folder {settings.work_dir} can't be made: {error}"
        raise RunFilesError(msg) from error
    return resolver_of(
        settings.work_dir,
        architecture,
        settings.as_of,
        fresh=settings.fresh,
        wheels=[each.wheel for each in settings.own_wheels],
    )


def default_jobs(engine: Engine, limits: Limits) -> int:
    """Return how many cells the engine carries side by side without starving one another."""
    by_cpu = int(engine.facts.cpus // limits.cpus)
    by_memory = int(engine.facts.memory * 0.9 // limits.memory)
    return max(1, min(by_cpu, by_memory))


class Pipeline:
    """Takes cells from requirements to results; one for each run."""

    def __init__(
        self,
        settings: Settings,
        run: Run,
        folder: RunFolder,
        engine: Engine,
        listener: Listener,
        *,
        locks: LockProvider | None = None,
    ) -> None:
        """Set up, starting nothing yet; `locks` is where they come from, None: a resolver."""
        self._settings = settings
        self._run = run
        self._folder = folder
        self._engine = engine
        self._listener = listener
        limits = settings.matrix.limits
        setup = settings.setup
        self._setup = setup
        jobs = settings.jobs or default_jobs(engine, limits)
        self._slots = asyncio.Semaphore(jobs)
        self._patience = Patience(retries=settings.matrix.retries)
        self._store = ResultStore(settings.work_dir / "results")
        self.used_images = UsedImages(engine, settings.work_dir, run)
        self._contents = ContentsReader(engine, settings.work_dir)
        self._locks = locks or resolver_for(settings, engine.facts.architecture)
        self._registry = (
            Registry(engine, settings.registry, limits.build_timeout, listener.said)
            if settings.registry
            else None
        )
        services = BuildServices(
            engine=engine,
            logs=folder.logs,
            listener=listener,
            registry=self._registry,
            cache=self._cache(),
        )
        assembled = AssembledBases(services)
        self._bases = BaseImages(engine, assembled, settings.base_origin, listener.said)
        self._images = CellImages(
            services,
            self._bases,
            self._locks,
            image_settings(
                setup,
                run.cells,
                settings.wheels,
                jobs,
                keep_wheels=settings.keep_wheels,
            ),
        )
        self._sandbox = Sandbox(
            run=run.id,
            subject=settings.subject.subject.name,
            checks=settings.sources,
            select=settings.check_filter,
            only=None,
            limits=setup.limits,
            environment=setup.environment,
            folder=self.used_images.folder.id,
            known_issues=run.known_issues,
            require_limits=settings.require_limits,
        )
        self._unenforced = set(engine.facts.unenforced)  # said already

    def _cache(self) -> CacheInUse | None:
        if self._settings.build_cache is None:
            return None
        exportable = self._engine.images.uses_containerd
        return CacheInUse(self._settings.build_cache, self._listener.said, exportable=exportable)

    async def execute(self, cells: Iterable[Cell]) -> tuple[dict[str, CellResult], bool]:
        """Take cells of the run to their results; each is written as it ends.

        Cancelling it ends what is under way, in order: builds and containers are gone, what had
        finished is kept, the rest is `cancelled`.

        Returns:
            Cell id to result, and whether it was cancelled.
        """
        tasks = [asyncio.create_task(self._finish(cell)) for cell in cells]
        interrupted = False
        try:
            await asyncio.wait(tasks)
            if self._registry:
                await self._registry.finish()
        except asyncio.CancelledError:
            interrupted = True
            for task in tasks:
                task.cancel()
            # Work that cells share goes on without them, so it is broken off for itself.
            await self.close()
        results = await asyncio.gather(*tasks)
        return {result.cell.id: result for result in results}, interrupted

    async def close(self) -> None:
        """Break off whatever is still under way."""
        await self._images.close()
        await self._contents.close()
        await self._bases.close()
        await self._locks.close()
        if self._registry:
            await self._registry.close()

    async def _finish(self, cell: Cell) -> CellResult:
        """Take one cell to its result, and write it."""
        draft = Draft(run=self._run.id, cell=cell, listener=self._listener)

        async def attempt(number: int) -> CellResult:
            draft.begin(number)
            return await self._take(draft)

        def tell(number: int, seconds: float, error: BaseException) -> None:
            first = in_line(str(error).partition("\n")[0])
            again = f"attempt {number} of {self._patience.retries + 1}; again in {seconds:.0f} s"
            self._listener.said(f"{cell.id}: {first} ({again})")

        try:
            result = await patiently(self._patience, attempt, tell)
        except asyncio.CancelledError:
            result = draft.end(CellOutcome.CANCELLED, Reason.INTERRUPTED, "interrupted")
        except BuildError as error:
            result = draft.end(CellOutcome.BLOCKED, Reason.BUILD, str(error))
        except (ResolverError, BaseImageError, EngineError) as error:
            result = draft.end(CellOutcome.ERROR, _reason(error), str(error))
        except (RunFilesError, OSError) as error:
            message = f"A file of the run can't be written: {error}"
            result = draft.end(CellOutcome.ERROR, Reason.INTERNAL, message)
        except Exception as error:  # noqa: BLE001
            # A defect of ours must not take the other cells' results along.
            _log.exception("%s: defect in matrixci", cell.id)
            result = draft.end(CellOutcome.ERROR, Reason.INTERNAL, f"defect in matrixci: {error!r}")
        self._folder.write_cell(result)
        judged = judge_cell(result, self._run.known_issues, now().date())
        if judged.outcome in GREEN:  # known issues included
            self._keep(result)
        told = {"outcome": judged.outcome, "reason": judged.reason, "message": judged.message}
        self._listener.ended(result.model_copy(update=told))
        return result

    async def _take(self, draft: Draft) -> CellResult:
        with draft.step(StepName.RESOLVE):
            lock = await self._locks.resolve(draft.cell, self._settings.subject.subject)
        if isinstance(lock, Unsatisfiable):
            draft.found["detail"] = lock.detail
            return draft.end(CellOutcome.UNSATISFIABLE, Reason.RESOLVER, lock.reason)
        record = self._record(draft.cell, lock)
        draft.found["lock"] = record
        image = await self._build(draft, lock)
        draft.found["image"] = image.record
        draft.found["sbom"] = await self._write_sbom(draft.cell, lock, image)
        gpu = await self._engine.gpu(image.record.tag) if draft.cell.gpu else None
        draft.found["reuse_key"] = self._key(draft.cell, record, image, gpu=gpu is not None)
        if kept := self._kept(draft):
            return kept
        with draft.step(StepName.WAIT_RUN):
            await self._slots.acquire()
        try:
            return await self._check(draft, record, image, gpu)
        finally:
            self._slots.release()

    def _record(self, cell: Cell, lock: Lock) -> LockRecord:
        return LockRecord(
            digest=lock.digest,
            file=self._folder.write_lock(cell.id, lock.annotated),
            versions=lock.versions,
            torch_backend=lock.torch_backend,
            fallback=lock.fallback,
        )

    async def _write_sbom(self, cell: Cell, lock: Lock, image: BuiltImage) -> str:
        from matrixci.images.sbom import bill_of_materials  # noqa: PLC0415 - costly, and only a run needs it

        contents = await self._contents.read(image.system, image.record.base_digest)
        text = await asyncio.to_thread(bill_of_materials, lock, image.record, cell.python, contents)
        return self._folder.write_sbom(cell.id, text)

    async def _build(self, draft: Draft, lock: Lock) -> BuiltImage:
        cell = draft.cell
        asked = now()
        self._listener.entered(cell, StepName.BUILD)
        image = await self._images.image(image_request(self._setup, cell, lock))
        await self.used_images.use(cell.id, image.record.tag)
        # Another cell may have had the same image built before this one asked for it.
        began = max(asked, image.began)
        draft.add(StepName.WAIT_BUILD, asked, began)
        draft.add(StepName.BUILD, began, image.ended)
        return image

    def _key(self, cell: Cell, lock: LockRecord, image: BuiltImage, *, gpu: bool) -> str:
        """Return a digest of all that could change the cell's result."""
        return digest_of(
            {
                "cell": cell.model_dump(mode="json"),
                "subject": self._settings.subject.subject.name,
                "lock": lock.digest,
                "image": image.record.tag,
                "checks": self._setup.checks_digest,
                "package": self._settings.sources.package,
                "filter": self._settings.check_filter,
                "limits": self._setup.limits.model_dump(mode="json"),
                "gpu": gpu,
                "environment": self._setup.environment,
            }
        )

    def _kept(self, draft: Draft) -> CellResult | None:
        """Return an earlier run's result that still holds, as one of this run."""
        if self._settings.fresh:
            return None
        log = f"logs/{draft.cell.id}.log"
        kept = self._store.find(str(draft.found["reuse_key"]), self._folder.path / log)
        if kept is None or (self._settings.require_limits and kept.unenforced):
            return None
        here = {"run": self._run.id, "cell": draft.cell, "steps": tuple(draft.steps), "log": log}
        here["attempts"] = draft.attempts
        return kept.model_copy(update={**draft.found, **here, "reused_from": kept.run})

    def _keep(self, result: CellResult) -> None:
        """Keep a green result for later runs."""
        if result.reused_from is None and result.log is not None:
            self._store.keep(result, self._folder.path / result.log)

    async def _check(
        self, draft: Draft, lock: LockRecord, image: BuiltImage, gpu: GpuAccess | None
    ) -> CellResult:
        told = self._sandbox.told(draft.cell, lock)
        spec = self._sandbox.container(draft.cell, told, image.record.tag, gpu)
        draft.found["log"] = f"logs/{draft.cell.id}.log"
        asked = now()
        self._listener.entered(draft.cell, StepName.CHECKS)
        end = await self._engine.containers.run(spec, self._folder.logs / f"{draft.cell.id}.log")
        draft.found["unenforced"] = end.unenforced
        self._tell_of_limits(draft.cell, end.unenforced)
        draft.add(StepName.START, asked, end.started)
        draft.add(StepName.CHECKS, end.started, end.ended)
        draft.add(StepName.COLLECT, end.ended, now())
        found = self._sandbox.examine(draft.cell, lock, told, end)
        draft.found["attestation"] = found.attestation
        draft.found["checks"] = found.checks
        return draft.end(*cell_outcome(found.checks, found.problem))

    def _tell_of_limits(self, cell: Cell, unenforced: Iterable[str]) -> None:
        """Say once which limits the engine only turned out to drop as it made a container."""
        if new := [limit for limit in unenforced if limit not in self._unenforced]:
            self._unenforced.update(new)
            limits = in_line(", ".join(new))
            self._listener.said(f"{cell.id}: the engine does not enforce limits on {limits}")

    async def older(self, results: Mapping[str, CellResult]) -> dict[str, dict[str, str]]:
        """Return, for cells that have an older release of a package than others, why it is so."""
        packages = compared_packages(self._run)
        locked = [
            LockedCell(cell=result.cell, versions=result.lock.versions)
            for result in results.values()
            if result.lock is not None
        ]
        subject = self._settings.subject.subject
        return await held_back_releases(self._locks, subject, packages, locked)
