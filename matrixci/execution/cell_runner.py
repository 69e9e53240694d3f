"""The steps of one cell: lock, image, checks, result."""

import asyncio
from collections.abc import Iterable

from matrixci.engine.gpu import GpuAccess
from matrixci.execution.cell_recorder import CellRecorder
from matrixci.execution.run_context import RunContext, RunTools
from matrixci.execution.run_setup import image_request
from matrixci.images.cell_images import BuiltImage
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import Cell, CellOutcome, CellResult, LockRecord, Reason, StepName, now
from matrixci.outcomes import cell_outcome
from matrixci.runs.folder import RunFolder
from matrixci.sandbox.container import Sandbox
from matrixci.util.digests import digest_of
from matrixci.util.text import in_line


def store_lock(folder: RunFolder, cell: Cell, lock: Lock) -> LockRecord:
    """Write the lock of a cell to the run's folder, and return its record."""
    return LockRecord(
        digest=lock.digest,
        file=folder.write_lock(cell.id, lock.annotated),
        versions=lock.versions,
        torch_backend=lock.torch_backend,
        fallback=lock.fallback,
    )


class CellRunner:
    """Runs cells, each from its requirements to its result."""

    def __init__(
        self, context: RunContext, tools: RunTools, sandbox: Sandbox, slots: asyncio.Semaphore
    ) -> None:
        """Set up without starting anything.

        Args:
            context: the run.
            tools: the sources of locks, images and earlier results.
            sandbox: creates the containers of the cells.
            slots: limits how many containers run at a time.
        """
        self._context = context
        self._settings = context.settings
        self._folder = context.folder
        self._engine = context.engine
        self._listener = context.listener
        self._tools = tools
        self._sandbox = sandbox
        self._slots = slots
        self._unenforced = set(context.engine.facts.unenforced)  # already reported

    async def __call__(self, recorder: CellRecorder) -> CellResult:
        """Return the result of a cell, or one of an earlier run that still holds.

        Raises:
            MatrixciError: the index, a registry, the engine, or a file of the run failed.
        """
        with recorder.step(StepName.RESOLVE):
            lock = await self._tools.locks.resolve(recorder.cell, self._settings.subject.subject)
        if isinstance(lock, Unsatisfiable):
            recorder.found["detail"] = lock.detail
            return recorder.end(CellOutcome.UNSATISFIABLE, Reason.RESOLVER, lock.reason)
        record = store_lock(self._folder, recorder.cell, lock)
        recorder.found["lock"] = record
        image = await self._build(recorder, lock)
        recorder.found["image"] = image.record
        recorder.found["sbom"] = await self._write_sbom(recorder.cell, lock, image)
        gpu = await self._engine.gpu(image.record.tag) if recorder.cell.gpu else None
        recorder.found["reuse_key"] = self._key(recorder.cell, record, image, gpu=gpu is not None)
        if earlier := self._earlier_result(recorder):
            return earlier
        with recorder.step(StepName.WAIT_RUN):
            await self._slots.acquire()
        try:
            return await self._check(recorder, record, image, gpu)
        finally:
            self._slots.release()

    async def _build(self, recorder: CellRecorder, lock: Lock) -> BuiltImage:
        cell = recorder.cell
        requested = now()
        self._listener.entered(cell, StepName.BUILD)
        image = await self._tools.images.image(image_request(self._settings.setup, cell, lock))
        await self._tools.used_images.use(cell.id, image.record.tag)
        # Another cell may have requested the same image earlier.
        began = max(requested, image.began)
        recorder.add(StepName.WAIT_BUILD, requested, began)
        recorder.add(StepName.BUILD, began, image.ended)
        return image

    async def _write_sbom(self, cell: Cell, lock: Lock, image: BuiltImage) -> str:
        from matrixci.images.sbom import bill_of_materials  # noqa: PLC0415 - costly, and only a run needs it

        contents = await self._tools.contents.read(image.system, image.record.base_digest)
        text = await asyncio.to_thread(bill_of_materials, lock, image.record, cell.python, contents)
        return self._folder.write_sbom(cell.id, text)

    def _key(self, cell: Cell, lock: LockRecord, image: BuiltImage, *, gpu: bool) -> str:
        """Return a digest of everything that can change the cell's result."""
        setup = self._settings.setup
        return digest_of(
            {
                "cell": cell.model_dump(mode="json"),
                "subject": self._settings.subject.subject.name,
                "lock": lock.digest,
                "image": image.record.tag,
                "checks": setup.checks_digest,
                "package": self._settings.sources.package,
                "filter": self._settings.check_filter,
                "limits": setup.limits.model_dump(mode="json"),
                "gpu": gpu,
                "environment": setup.environment,
            }
        )

    def _earlier_result(self, recorder: CellRecorder) -> CellResult | None:
        """Return a stored result that still holds, as a result of this run."""
        options = self._settings.options
        if options.fresh:
            return None
        log = f"logs/{recorder.cell.id}.log"
        kept = self._tools.results.find(str(recorder.found["reuse_key"]), self._folder.path / log)
        if kept is None or (options.require_limits and kept.unenforced):
            return None
        own = {
            "run": self._context.run.id,
            "cell": recorder.cell,
            "steps": tuple(recorder.steps),
            "attempts": recorder.attempts,
            "log": log,
        }
        return kept.model_copy(update={**recorder.found, **own, "reused_from": kept.run})

    async def _check(
        self, recorder: CellRecorder, lock: LockRecord, image: BuiltImage, gpu: GpuAccess | None
    ) -> CellResult:
        request = self._sandbox.cell_json(recorder.cell, lock)
        spec = self._sandbox.container(recorder.cell, request, image.record.tag, gpu)
        recorder.found["log"] = f"logs/{recorder.cell.id}.log"
        requested = now()
        self._listener.entered(recorder.cell, StepName.CHECKS)
        end = await self._engine.containers.run(spec, self._folder.logs / f"{recorder.cell.id}.log")
        recorder.found["unenforced"] = end.unenforced
        self._report_unenforced(recorder.cell, end.unenforced)
        recorder.add(StepName.START, requested, end.started)
        recorder.add(StepName.CHECKS, end.started, end.ended)
        recorder.add(StepName.COLLECT, end.ended, now())
        found = self._sandbox.examine(recorder.cell, lock, request, end)
        recorder.found["attestation"] = found.attestation
        recorder.found["checks"] = found.checks
        return recorder.end(*cell_outcome(found.checks, found.problem))

    def _report_unenforced(self, cell: Cell, unenforced: Iterable[str]) -> None:
        """Report, once each, limits that the engine ignored when it created a container."""
        if new := [limit for limit in unenforced if limit not in self._unenforced]:
            self._unenforced.update(new)
            limits = in_line(", ".join(new))
            self._listener.said(f"{cell.id}: the engine does not enforce limits on {limits}")
