"""One run: every cell goes from its requirements to its result, side by side with the others."""

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from packaging.version import Version

from matrixci import container_files, evidence
from matrixci.bases import Bases
from matrixci.buildx import BuildError
from matrixci.data import data_folder
from matrixci.engine import LABEL, ContainerEnd, ContainerSpec, Engine, GpuWay
from matrixci.errors import BaseImageError, EngineError, ResolverError
from matrixci.events import Listener
from matrixci.green import GREEN
from matrixci.images import BuiltImage, ImageRequest, Images, ImageSettings
from matrixci.judge import judge_cell
from matrixci.lock import Lock, Resolver, Unsatisfiable
from matrixci.matrix.definition import Limits, Matrix
from matrixci.model import (
    SCHEMA_VERSION,
    BaseOrigin,
    Cell,
    CellOutcome,
    CellResult,
    LockRecord,
    Reason,
    Run,
    Step,
    StepName,
    now,
)
from matrixci.reuse import ResultStore, digest_of, digest_of_folders
from matrixci.run_folder import RunFolder
from matrixci.subject import ResolvedSubject

NONCE_BYTES = 16
_log = logging.getLogger(__name__)
_GLIBC = "manylinux_2_36"  # of the Debian release that the base images are
_ENVIRONMENT = {
    "HOME": "/tmp/home",  # noqa: S108 (a file system of the container's own)
    "TMPDIR": "/tmp",  # noqa: S108
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command asks for, beside the matrix and the selection."""

    matrix: Matrix
    subject: ResolvedSubject
    checks: Path
    home: Path
    """Where runs, kept results and caches lie."""
    check_filter: str | None
    as_of: date | None
    jobs: int | None
    """Cells under way at once; None: as many as the engine's CPUs and memory carry."""
    fresh: bool
    base_origin: BaseOrigin | None


def resolver_for(settings: Settings, architecture: str) -> Resolver:
    """Return the resolver for containers of an architecture, as the kernel names it."""
    return Resolver(
        settings.home / "locks",
        f"{architecture}-{_GLIBC}",
        settings.as_of,
        fresh=settings.fresh,
    )


def python_base(matrix: Matrix, python: str) -> str:
    """Return the name of the base image for Python X.Y."""
    return matrix.base.python.replace("{python}", python)


def image_settings(settings: Settings, cells: Sequence[Cell], jobs: int) -> ImageSettings:
    """Return what all images of a run have in common."""
    newest = max((cell.python for cell in cells), key=Version)
    return ImageSettings(
        system=settings.matrix.base.os,
        tools_python=newest,
        tools_base=python_base(settings.matrix, newest),
        precompile=settings.matrix.precompile,
        wheel=settings.subject.wheel,
        jobs=jobs,
        time_limit=settings.matrix.limits.build,
    )


def default_jobs(engine: Engine, limits: Limits) -> int:
    """Return how many cells the engine carries side by side without starving one another."""
    by_cpu = int(engine.facts.cpus // limits.cpus)
    by_memory = int(engine.facts.memory * 0.9 // limits.memory)
    return max(1, min(by_cpu, by_memory))


@dataclass(kw_only=True)
class _Draft:
    """A cell's result while it comes to be."""

    run: str
    cell: Cell
    listener: Listener
    steps: list[Step] = field(default_factory=list)
    found: dict[str, object] = field(default_factory=dict)

    @contextmanager
    def step(self, name: StepName) -> Iterator[None]:
        """Record when a step began and ended, even where it fails."""
        began = now()
        self.listener.entered(self.cell, name)
        try:
            yield
        finally:
            self.add(name, began, now())

    def add(self, name: StepName, began: datetime, ended: datetime) -> None:
        """Record a step that was timed elsewhere."""
        self.steps.append(Step(name=name, began=began, ended=max(began, ended)))

    def end(
        self, outcome: CellOutcome, reason: Reason | None = None, message: str = ""
    ) -> CellResult:
        """Return the result, with all that was found on the way."""
        return CellResult.model_validate(
            {
                "run": self.run,
                "cell": self.cell,
                "outcome": outcome,
                "reason": reason,
                "message": message,
                "steps": tuple(self.steps),
                **self.found,
            }
        )


class Pipeline:
    """Takes cells from requirements to results; one for each run."""

    def __init__(
        self, settings: Settings, run: Run, folder: RunFolder, engine: Engine, listener: Listener
    ) -> None:
        """Set up, starting nothing yet."""
        self._settings = settings
        self._run = run
        self._folder = folder
        self._engine = engine
        self._listener = listener
        limits = settings.matrix.limits
        jobs = settings.jobs or default_jobs(engine, limits)
        self._slots = asyncio.Semaphore(jobs)
        self._store = ResultStore(settings.home / "results")
        self._resolver = resolver_for(settings, engine.facts.architecture)
        self._bases = Bases(engine, settings.base_origin, folder.logs, listener.said)
        self._images = Images(
            engine,
            self._bases,
            self._resolver,
            image_settings(settings, run.cells, jobs),
            folder.logs,
        )
        self._checks_digest = digest_of_folders(settings.checks, data_folder("harness"))

    async def execute(self) -> tuple[dict[str, CellResult], bool]:
        """Take all cells of the run to their results; each is written as it ends.

        Cancelling it ends what is under way, in order: builds and containers are gone, what had
        finished is kept, the rest is `cancelled`.

        Returns:
            Cell id to result, and whether it was cancelled.
        """
        tasks = [asyncio.create_task(self._finish(cell)) for cell in self._run.cells]
        interrupted = False
        try:
            await asyncio.wait(tasks)
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
        await self._bases.close()
        await self._resolver.close()

    async def _finish(self, cell: Cell) -> CellResult:
        """Take one cell to its result, and write it."""
        draft = _Draft(run=self._run.id, cell=cell, listener=self._listener)
        try:
            result = await self._take(draft)
        except asyncio.CancelledError:
            result = draft.end(CellOutcome.CANCELLED, Reason.INTERRUPTED, "interrupted")
        except ResolverError as error:
            result = draft.end(CellOutcome.ERROR, Reason.INDEX, str(error))
        except BaseImageError as error:
            result = draft.end(CellOutcome.ERROR, Reason.BASE, str(error))
        except BuildError as error:
            result = draft.end(CellOutcome.BLOCKED, Reason.BUILD, str(error))
        except EngineError as error:
            result = draft.end(CellOutcome.ERROR, Reason.ENGINE, str(error))
        except Exception as error:  # noqa: BLE001
            # A defect of ours must not take the other cells' results along.
            _log.exception("%s: defect in matrixci", cell.id)
            result = draft.end(CellOutcome.ERROR, Reason.INTERNAL, f"defect in matrixci: {error!r}")
        self._folder.write_cell(result)
        self._keep(result)
        self._listener.ended(result)
        return result

    async def _take(self, draft: _Draft) -> CellResult:
        with draft.step(StepName.RESOLVE):
            lock = await self._resolver.resolve(draft.cell, self._settings.subject.subject)
        if isinstance(lock, Unsatisfiable):
            draft.found["detail"] = lock.detail
            return draft.end(CellOutcome.UNSATISFIABLE, Reason.RESOLVER, lock.reason)
        record = self._record(draft.cell, lock)
        draft.found["lock"] = record
        image = await self._build(draft, lock)
        draft.found["image"] = image.record
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
            file=self._folder.write_lock(cell.id, lock.text),
            versions=lock.versions,
            torch_backend=lock.torch_backend,
            fallback=lock.fallback,
        )

    async def _build(self, draft: _Draft, lock: Lock) -> BuiltImage:
        cell = draft.cell
        asked = now()
        self._listener.entered(cell, StepName.BUILD)
        request = ImageRequest(
            lock=lock,
            python=cell.python,
            base=cell.base or python_base(self._settings.matrix, cell.python),
            base_is_own=cell.base is not None,
        )
        image = await self._images.image(request)
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
                "checks": self._checks_digest,
                "filter": self._settings.check_filter,
                "limits": self._settings.matrix.limits.model_dump(mode="json"),
                "gpu": gpu,
                "environment": _ENVIRONMENT,
            }
        )

    def _kept(self, draft: _Draft) -> CellResult | None:
        """Return an earlier run's result that still holds, as one of this run."""
        if self._settings.fresh:
            return None
        log = f"logs/{draft.cell.id}.log"
        kept = self._store.find(str(draft.found["reuse_key"]), self._folder.path / log)
        if kept is None:
            return None
        here = {"run": self._run.id, "cell": draft.cell, "steps": tuple(draft.steps), "log": log}
        return kept.model_copy(update={**draft.found, **here, "reused_from": kept.run})

    def _keep(self, result: CellResult) -> None:
        """Keep a green result for later runs: green by judgement, known issues included."""
        judged = judge_cell(result, self._run.known_issues, now().date())
        if judged.outcome in GREEN and result.reused_from is None and result.log is not None:
            self._store.keep(result, self._folder.path / result.log)

    async def _check(
        self, draft: _Draft, lock: LockRecord, image: BuiltImage, gpu: GpuWay | None
    ) -> CellResult:
        nonce = secrets.token_hex(NONCE_BYTES)
        limits = self._settings.matrix.limits
        told = self._told(draft.cell, lock, nonce)
        spec = ContainerSpec(
            image=image.record.tag,
            command=container_files.COMMAND,
            labels={f"{LABEL}.run": self._run.id, f"{LABEL}.cell": draft.cell.id},
            environment={**_ENVIRONMENT, **draft.cell.environment},
            files=container_files.pack(told, self._settings.checks),
            results=container_files.RESULTS,
            memory=limits.memory,
            scratch=limits.scratch,
            log=limits.log,
            result=limits.result,
            pids=limits.pids,
            cpus=limits.cpus,
            time_limit=limits.cell,
            gpu=gpu,
        )
        draft.found["log"] = f"logs/{draft.cell.id}.log"
        asked = now()
        self._listener.entered(draft.cell, StepName.CHECKS)
        end = await self._engine.run(spec, self._folder.logs / f"{draft.cell.id}.log")
        draft.add(StepName.START, asked, end.started)
        draft.add(StepName.CHECKS, end.started, end.ended)
        draft.add(StepName.COLLECT, end.ended, now())
        return self._examine(draft, told, end)

    def _told(self, cell: Cell, lock: LockRecord, nonce: str) -> dict[str, object]:
        """Return what the container is told of its cell."""
        return {
            "schema": SCHEMA_VERSION,
            "nonce": nonce,
            "run": self._run.id,
            "cell": cell.id,
            "axes": cell.axes,
            "device": "cuda" if cell.gpu else "cpu",
            "subject": self._settings.subject.subject.name,
            "requires": list(cell.requires),
            "lock": lock.versions,
            "torch_backend": cell.torch_backend,
            "torch_fallback": lock.fallback,
            "select": self._settings.check_filter,
            "only": None,
            "limits": {"check_seconds": self._settings.matrix.limits.check},
        }

    def _examine(self, draft: _Draft, told: Mapping[str, object], end: ContainerEnd) -> CellResult:
        """Judge what the container left by the rule of evidence."""
        limit = self._settings.matrix.limits.result
        found = evidence.examine(
            container_files.unpack_results(end.archive, limit),
            evidence.Expected(
                run=self._run.id,
                nonce=str(told["nonce"]),
                cell=draft.cell,
                lock=LockRecord.model_validate(draft.found["lock"]),
            ),
            evidence.Exit(
                status=end.exit_status, oom_killed=end.oom_killed, timed_out=end.timed_out
            ),
        )
        draft.found["attestation"] = found.attestation
        draft.found["checks"] = found.checks
        return draft.end(*evidence.cell_outcome(found.checks, found.problem))

    async def older(self, results: Mapping[str, CellResult]) -> dict[str, dict[str, str]]:
        """Return, for cells that have an older release of a package than others, why it is so.

        The resolver is asked for the newest alone; where that has an answer the reason is another
        requirement of the cell, and nothing is said.
        """
        locks = {name: result.lock for name, result in results.items() if result.lock is not None}
        reasons: dict[str, dict[str, str]] = {}
        for package in (self._run.subject.name, *self._run.companions):
            versions = [
                Version(lock.versions[package])
                for lock in locks.values()
                if package in lock.versions
            ]
            for name, lock in locks.items():
                if package in lock.versions and Version(lock.versions[package]) < max(versions):
                    newest = f"{package}=={max(versions)}"
                    reason = await self._resolver.why_not(newest, results[name].cell.python)
                    if reason is not None:
                        reasons.setdefault(name, {})[package] = reason
        return reasons
