"""One cell of a run, or one check of it, run again as it was: from the run's files alone."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from matrixci.engine.client import Engine
from matrixci.engine.container_spec import MOUNT_POINT
from matrixci.engine.gpu import GpuAccess
from matrixci.errors import NotReproducibleError, SubjectError, UsageError
from matrixci.execution.run_setup import image_request, image_settings, resolver_of
from matrixci.execution.used_images import UsedImages
from matrixci.images.assembled_bases import AssembledBases
from matrixci.images.base_images import BaseImages
from matrixci.images.build_services import BuildServices
from matrixci.images.cell_images import CellImages
from matrixci.locks.lock import Lock
from matrixci.locks.own_wheels import kept_wheels, wheels_in
from matrixci.locks.subject import kept_wheel
from matrixci.model import CellOutcome, CellResult, LockRecord, Run, Setup
from matrixci.outcomes import cell_outcome
from matrixci.runs.folder import StoredRun
from matrixci.runs.lock_file import read_lock
from matrixci.runs.stored_checks import read_checks
from matrixci.sandbox.check_filter import selected
from matrixci.sandbox.container import Sandbox
from matrixci.sandbox.files import Sources, read_sources
from matrixci.util.stages import Remarks
from matrixci.util.text import did_you_mean
from matrixci.verdict.reproduce_command import anew_command

SHELL: Final = ("python3", f"{MOUNT_POINT}/harness/shell.py")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ChecksChoice:
    """Which checks run again."""

    given: Path | None
    """The user's own choice; None: those of the run."""
    named: Callable[[str | None], Path]
    """Returns a folder of checks from how the run's command named it."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """All that it takes to run a cell again, and what it came to before."""

    id: str
    """Of this reproduction: what it makes on the engine is labelled with it."""
    run: Run
    setup: Setup
    before: CellResult
    record: LockRecord
    lock: Lock
    sandbox: Sandbox
    remark: str | None
    """What the checks are, where they aren't those of the run."""
    keep: bool = False
    """The container stays on the engine."""
    require_limits: bool = False
    """It is refused where the engine does not enforce every limit."""

    @property
    def only(self) -> tuple[str, ...] | None:
        """The ids of the checks that run; None: all that ran before."""
        return None if self.sandbox.only is None else tuple(self.sandbox.only)


def prepare_reproduction(
    stored: StoredRun,
    cell_id: str,
    check: str | None,
    checks: ChecksChoice,
    name: str,
) -> Reproduction:
    """Return all that it takes to run a cell of a stored run again.

    Args:
        stored: the run.
        cell_id: the cell.
        check: a check's id, or a glob over the ids; None: all that ran.
        checks: which checks; by default those that the run's folder keeps.
        name: the id of the reproduction.

    Raises:
        UsageError: the run has no such cell or check.
        NotReproducibleError: the run's files don't say enough; the message has another command.
        RunFilesError: the lock can't be read, or was changed.
    """
    run, before = stored.run, _result(stored, cell_id)
    anew = shlex.join(anew_command(run, cell_id))
    if before.lock is None:
        why = before.message.partition("\n")[0] or str(before.reason or "it never got that far")
        msg = (
            f"{cell_id} came to {before.outcome} before it had a lock, so there is no container to "
            f"run again: {why}\nTry it from its requirements on: {anew}"
        )
        raise NotReproducibleError(msg)
    if run.setup is None:
        msg = (
            f"The run {run.id} is of an older matrixci, and doesn't say how its containers were "
            f"set up.\nRun the cell anew: {anew}"
        )
        raise NotReproducibleError(msg)
    sources, remark = _checks(stored.folder, run.setup, checks)
    sandbox = Sandbox(
        run=name,
        subject=run.subject.name,
        checks=sources,
        select=run.check_filter,
        only=_only(stored, cell_id, check),
        limits=run.setup.limits.model_copy(update={"reruns": 0}),  # it is seen at once
        environment=run.setup.environment,
    )
    return Reproduction(
        id=name,
        run=run,
        setup=run.setup,
        before=before,
        record=before.lock,
        lock=read_lock(stored.folder, before.lock, run),
        sandbox=sandbox,
        remark=remark,
    )


async def image_of(engine: Engine, what: Reproduction, work_dir: Path, logs: Path, say: Say) -> str:
    """Return the image that the cell ran in, built anew from its lock where it is gone.

    Args:
        engine: where it stands, or is to stand.
        what: the cell.
        work_dir: where caches and built wheels lie.
        logs: the folder that takes the logs of a build.
        say: told where it isn't the very image, in a line.

    Raises:
        BuildError: it could not be built.
        BaseImageError: a base image of it can't be had.
        ResolverError: what installs the others could not be resolved.
        NotReproducibleError: a wheel of our own is gone.
    """
    image = what.before.image
    if image is not None and await engine.images.digest(image.id) is not None:
        return image.id
    say("the image of the run is gone, so it is built anew from the stored lock")
    wheels = _wheels(what.run, what.lock, work_dir)
    resolver = resolver_of(work_dir, engine.facts.architecture, None, fresh=False)
    services = BuildServices(engine=engine, logs=logs, listener=Remarks(say))
    bases = BaseImages(engine, AssembledBases(services), what.setup.base_origin, say)
    settings = image_settings(what.setup, what.run.cells, wheels, 1)
    images = CellImages(services, bases, resolver, settings)
    try:
        built = await images.image(image_request(what.setup, what.before.cell, what.lock))
    finally:
        await images.close()
        await bases.close()
        await resolver.close()
    if image is not None and built.record.tag != image.tag:
        say("it is made otherwise than before: from another base image, or by another recipe")
    await UsedImages(engine, work_dir, what.run).use(what.before.cell.id, built.record.tag)
    return built.record.tag


async def run_again(
    engine: Engine,
    what: Reproduction,
    image: str,
    log: Path,
    follow: Callable[[bytes], None],
) -> tuple[CellResult, str | None]:
    """Run the checks again; return what they came to, and the container's id where it is kept.

    Args:
        engine: the engine.
        what: the cell.
        image: what it runs in.
        log: the file that takes the container's output.
        follow: given the output as it comes.

    Raises:
        EngineError: the engine could not run it.
    """
    cell = what.before.cell
    told = what.sandbox.cell_json(cell, what.record)
    spec = what.sandbox.container(cell, told, image, await _gpu(engine, what, image))
    limits = what.require_limits
    end = await engine.containers.run(
        replace(spec, keep=what.keep, require_limits=limits), log, follow
    )
    found = what.sandbox.examine(cell, what.record, told, end)
    outcome, reason, message = cell_outcome(found.checks, found.problem)
    result = CellResult(
        run=what.id,
        cell=cell,
        outcome=outcome,
        reason=reason,
        message=message,
        lock=what.record,
        attestation=found.attestation,
        checks=found.checks,
        unenforced=end.unenforced,
    )
    return result, end.kept


async def open_shell(engine: Engine, what: Reproduction, image: str, *, terminal: bool) -> int:
    """Open a shell in the cell's container; return its exit status.

    Raises:
        EngineError: the engine could not make the container.
    """
    cell = what.before.cell
    told = what.sandbox.cell_json(cell, what.record)
    spec = what.sandbox.container(cell, told, image, await _gpu(engine, what, image))
    spec = replace(spec, keep=what.keep, require_limits=what.require_limits)
    shell = replace(spec, command=SHELL, interactive=True, terminal=terminal)
    return await engine.containers.attach(shell)


async def _gpu(engine: Engine, what: Reproduction, image: str) -> GpuAccess | None:
    return await engine.gpu(image) if what.before.cell.gpu else None


def _result(stored: StoredRun, cell_id: str) -> CellResult:
    """Return what a cell came to; one that never reported has come to an error."""
    cell = next((cell for cell in stored.run.cells if cell.id == cell_id), None)
    if cell is None:
        ids = [each.id for each in stored.run.cells]
        msg = f"The run {stored.run.id} has no cell {cell_id}; {did_you_mean(cell_id, ids)}"
        raise UsageError(msg)
    nothing = CellResult(run=stored.run.id, cell=cell, outcome=CellOutcome.ERROR)
    return stored.results.get(cell_id, nothing)


def _checks(folder: Path, setup: Setup, choice: ChecksChoice) -> tuple[Sources, str | None]:
    """Return the checks that run again, and what they are where they aren't those of the run."""
    if choice.given is not None:
        return read_sources(choice.given), f"with the checks in {choice.given}"
    stored = read_checks(folder, setup)
    sources = stored or read_sources(choice.named(setup.checks))
    if sources.digest == setup.checks_digest:
        return sources, None
    what = "the checks have" if stored is None else "matrixci's harness has"
    return sources, f"{what} changed since the run"


def _only(stored: StoredRun, cell_id: str, check: str | None) -> tuple[str, ...] | None:
    """Return the ids that a selection of checks names, among those of the cell or else of the run.

    Raises:
        UsageError: there is none.
    """
    if check is None:
        return None
    own = stored.results.get(cell_id)
    ids = [each.id for each in own.checks] if own else []
    if not ids:  # the container left nothing, and the other cells had the same checks
        ids = [each.id for result in stored.results.values() for each in result.checks]
    found = selected(check, ids)
    if not found and "::" in check and not ids:
        return (check,)  # nothing is known of any check, so it is taken at its word
    if not found:
        near = did_you_mean(check, dict.fromkeys(ids))
        msg = f"{cell_id} has no check {check}; {near}"
        raise UsageError(msg)
    return found


def _wheels(run: Run, lock: Lock, work_dir: Path) -> dict[str, Path]:
    """Return the wheels of our own that a lock installs, SHA-256 to file.

    Raises:
        NotReproducibleError: one is gone, or another file by now.
    """
    try:
        subject = kept_wheel(run.subject, work_dir)
        own = kept_wheels(wheels_in(lock, run.own_wheels), work_dir)
    except SubjectError as error:
        msg = f"The image is gone, and so is the wheel that it was made of: {error}"
        raise NotReproducibleError(msg) from error
    found = {each.wheel.digest: each.path for each in own}
    if subject is not None and run.subject.digest is not None:
        found[run.subject.digest] = subject
    return found
