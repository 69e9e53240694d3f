"""Runs one cell of a stored run again, or one check of it, using only the run's files."""

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
from matrixci.locks.own_wheels import stored_wheels, wheels_in
from matrixci.locks.subject import subject_wheel
from matrixci.model import CellOutcome, CellResult, LockRecord, Run, Setup
from matrixci.outcomes import cell_outcome
from matrixci.runs.folder import StoredRun
from matrixci.runs.lock_file import read_lock
from matrixci.runs.stored_checks import read_checks
from matrixci.sandbox.check_filter import selected
from matrixci.sandbox.container import Sandbox
from matrixci.sandbox.files import Sources, read_sources
from matrixci.util.stages import Remarks
from matrixci.util.text import suggestion
from matrixci.verdict.reproduce_command import anew_command

SHELL: Final = ("python3", f"{MOUNT_POINT}/harness/shell.py")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ChecksChoice:
    """Which checks to run."""

    given: Path | None
    """Folder that the user named; None: the checks of the run."""
    named: Callable[[str | None], Path]
    """Returns the folder of checks that a run's command named."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A cell to run again, with its result in the run."""

    id: str
    """Id of this reproduction, used as a label on the engine."""
    run: Run
    setup: Setup
    before: CellResult
    record: LockRecord
    lock: Lock
    sandbox: Sandbox
    remark: str | None
    """How the checks differ from those of the run; None: they are the same."""
    keep: bool = False
    """Keep the container afterwards."""
    require_limits: bool = False
    """Fail if the engine does not enforce every limit."""

    @property
    def only(self) -> tuple[str, ...] | None:
        """Ids of the checks to run; None: all that ran before."""
        return None if self.sandbox.only is None else tuple(self.sandbox.only)


def prepare_reproduction(
    stored: StoredRun,
    cell_id: str,
    check: str | None,
    checks: ChecksChoice,
    name: str,
) -> Reproduction:
    """Return a cell of a stored run, ready to run again.

    Args:
        stored: the run.
        cell_id: the cell.
        check: id or glob of checks; None: all that ran.
        checks: which checks to run.
        name: id of the reproduction.

    Raises:
        UsageError: the run has no such cell or check.
        NotReproducibleError: the run's files are not sufficient; the message has another command.
        RunFilesError: the lock cannot be read, or has been changed.
    """
    run, before = stored.run, _result(stored, cell_id)
    whole_cell = shlex.join(anew_command(run, cell_id))
    if before.lock is None:
        why = before.message.partition("\n")[0] or str(before.reason or "it was not resolved")
        msg = (
            f"{cell_id} ended as {before.outcome} before it had a lock, so it has no container to "
            f"run again: {why}\nRun the whole cell instead: {whole_cell}"
        )
        raise NotReproducibleError(msg)
    if run.setup is None:
        msg = (
            f"The run {run.id} was made by an older matrixci, which did not record how its "
            f"containers were set up.\nRun the whole cell instead: {whole_cell}"
        )
        raise NotReproducibleError(msg)
    sources, remark = _checks(stored.folder, run.setup, checks)
    sandbox = Sandbox(
        run=name,
        subject=run.subject.name,
        checks=sources,
        select=run.check_filter,
        only=_only(stored, cell_id, check),
        limits=run.setup.limits.model_copy(update={"reruns": 0}),  # the result is shown at once
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


async def image_of(
    engine: Engine, reproduction: Reproduction, work_dir: Path, logs: Path, say: Say
) -> str:
    """Return the image that the cell ran in, or rebuild it from its lock if it is missing.

    Args:
        engine: the container engine.
        reproduction: the cell.
        work_dir: the folder of caches and built wheels.
        logs: the folder for the log of a build.
        say: called with a remark if the image is rebuilt.

    Raises:
        BuildError: the build failed.
        BaseImageError: a base image is not available.
        ResolverError: the build tools could not be resolved.
        NotReproducibleError: a wheel that we built is missing.
    """
    image = reproduction.before.image
    if image is not None and await engine.images.digest(image.id) is not None:
        return image.id
    say("the image of the run is missing; rebuilding it from the stored lock")
    wheels = _wheels(reproduction.run, reproduction.lock, work_dir)
    resolver = resolver_of(work_dir, engine.facts.architecture, None, fresh=False)
    services = BuildServices(engine=engine, logs=logs, listener=Remarks(say))
    bases = BaseImages(engine, AssembledBases(services), reproduction.setup.base_origin, say)
    settings = image_settings(reproduction.setup, reproduction.run.cells, wheels, 1)
    images = CellImages(services, bases, resolver, settings)
    try:
        built = await images.image(
            image_request(reproduction.setup, reproduction.before.cell, reproduction.lock)
        )
    finally:
        await images.close()
        await bases.close()
        await resolver.close()
    if image is not None and built.record.tag != image.tag:
        say("the new image differs: its base image or its recipe has changed")
    await UsedImages(engine, work_dir, reproduction.run).use(
        reproduction.before.cell.id, built.record.tag
    )
    return built.record.tag


async def run_again(
    engine: Engine,
    reproduction: Reproduction,
    image: str,
    log: Path,
    follow: Callable[[bytes], None],
) -> tuple[CellResult, str | None]:
    """Run the checks again; return the result, and the container's id if it is kept.

    Args:
        engine: the container engine.
        reproduction: the cell.
        image: the image to run.
        log: the file for the container's output.
        follow: called with each piece of the output.

    Raises:
        EngineError: the engine could not run the container.
    """
    cell = reproduction.before.cell
    request = reproduction.sandbox.cell_json(cell, reproduction.record)
    spec = reproduction.sandbox.container(
        cell, request, image, await _gpu(engine, reproduction, image)
    )
    limits = reproduction.require_limits
    end = await engine.containers.run(
        replace(spec, keep=reproduction.keep, require_limits=limits), log, follow
    )
    found = reproduction.sandbox.examine(cell, reproduction.record, request, end)
    outcome, reason, message = cell_outcome(found.checks, found.problem)
    result = CellResult(
        run=reproduction.id,
        cell=cell,
        outcome=outcome,
        reason=reason,
        message=message,
        lock=reproduction.record,
        attestation=found.attestation,
        checks=found.checks,
        unenforced=end.unenforced,
    )
    return result, end.kept


async def open_shell(
    engine: Engine, reproduction: Reproduction, image: str, *, terminal: bool
) -> int:
    """Open a shell in the cell's container; return its exit status.

    Raises:
        EngineError: the engine could not create the container.
    """
    cell = reproduction.before.cell
    request = reproduction.sandbox.cell_json(cell, reproduction.record)
    spec = reproduction.sandbox.container(
        cell, request, image, await _gpu(engine, reproduction, image)
    )
    spec = replace(spec, keep=reproduction.keep, require_limits=reproduction.require_limits)
    shell = replace(spec, command=SHELL, interactive=True, terminal=terminal)
    return await engine.containers.attach(shell)


async def _gpu(engine: Engine, reproduction: Reproduction, image: str) -> GpuAccess | None:
    return await engine.gpu(image) if reproduction.before.cell.gpu else None


def _result(stored: StoredRun, cell_id: str) -> CellResult:
    """Return the result of a cell; without a stored result, it is an error."""
    cell = next((cell for cell in stored.run.cells if cell.id == cell_id), None)
    if cell is None:
        ids = [each.id for each in stored.run.cells]
        msg = f"The run {stored.run.id} has no cell {cell_id}. {suggestion(cell_id, ids)}"
        raise UsageError(msg)
    missing = CellResult(run=stored.run.id, cell=cell, outcome=CellOutcome.ERROR)
    return stored.results.get(cell_id, missing)


def _checks(folder: Path, setup: Setup, choice: ChecksChoice) -> tuple[Sources, str | None]:
    """Return the checks to run, and how they differ from those of the run."""
    if choice.given is not None:
        return read_sources(choice.given), f"with the checks in {choice.given}"
    stored = read_checks(folder, setup)
    sources = stored or read_sources(choice.named(setup.checks))
    if sources.digest == setup.checks_digest:
        return sources, None
    changed = "the checks have" if stored is None else "matrixci's harness has"
    return sources, f"{changed} changed since the run"


def _only(stored: StoredRun, cell_id: str, check: str | None) -> tuple[str, ...] | None:
    """Return the ids that a selection matches among the checks of the cell, or of the run.

    Raises:
        UsageError: no check matches.
    """
    if check is None:
        return None
    own = stored.results.get(cell_id)
    ids = [each.id for each in own.checks] if own else []
    if not ids:  # the container wrote no results; other cells have the same checks
        ids = [each.id for result in stored.results.values() for each in result.checks]
    found = selected(check, ids)
    if not found and "::" in check and not ids:
        return (check,)  # no check is known, so accept the id as it is
    if not found:
        msg = f"{cell_id} has no check {check}. {suggestion(check, dict.fromkeys(ids))}"
        raise UsageError(msg)
    return found


def _wheels(run: Run, lock: Lock, work_dir: Path) -> dict[str, Path]:
    """Return the wheels that we built and a lock installs, as SHA-256 to file.

    Raises:
        NotReproducibleError: one is missing, or has changed.
    """
    try:
        subject = subject_wheel(run.subject, work_dir)
        own = stored_wheels(wheels_in(lock, run.own_wheels), work_dir)
    except SubjectError as error:
        msg = f"The image is missing, and so is the wheel that it was built from: {error}"
        raise NotReproducibleError(msg) from error
    found = {each.wheel.digest: each.path for each in own}
    if subject is not None and run.subject.digest is not None:
        found[run.subject.digest] = subject
    return found
