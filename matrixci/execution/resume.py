"""A run that ended before all its cells had: what is left of it, and whether it may go on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, SubjectError, UsageError
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.locks.lock import Lock
from matrixci.locks.own_wheels import KeptWheel, kept_wheels
from matrixci.locks.subject import ResolvedSubject, kept_wheel
from matrixci.matrix.definition import Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.model import Cell, Run
from matrixci.outcomes import CONCLUSIVE
from matrixci.runs.folder import StoredRun
from matrixci.runs.lock_file import read_lock
from matrixci.util.invocation import called

_FRESH: Final = "--fresh"


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What a run needs to go on."""

    stored: StoredRun
    settings: Settings
    cells: tuple[Cell, ...]
    """Those without a final result."""
    locks: Mapping[str, Lock]
    """Of these, id to the lock that a cell had already: by now there may be newer releases."""
    problems: tuple[str, ...]
    """Which locks, and which results, can't be read any more."""

    @property
    def run(self) -> Run:
        """The run as it goes on: what it was, and not ended."""
        required = self.settings.options.require_limits
        again = {"ended": None, "interrupted": False, "require_limits": required}
        return self.stored.run.model_copy(update=again)


def unfinished(stored: StoredRun) -> tuple[Cell, ...]:
    """Return the cells that have no final result: none, a damaged one, an error, cancelled."""
    return tuple(cell for cell in stored.run.cells if not _is_final(stored, cell))


def _is_final(stored: StoredRun, cell: Cell) -> bool:
    result = stored.results.get(cell.id)
    return result is not None and result.outcome in CONCLUSIVE


def prepare_resumption(
    stored: StoredRun, matrix: Matrix, checks: Path, work_dir: Path, options: ExecutionOptions
) -> Resumption:
    """Return what is needed to resume a run with the same inputs.

    Args:
        stored: the run.
        matrix: read from the matrix file as it is now.
        checks: the folder of checks.
        work_dir: the folder of caches and built wheels.
        options: how the cells are built and run; where they leave something open, as before.

    Raises:
        UsageError: inputs of the run have changed; the message lists them.
    """
    run = stored.run
    wheel, own_wheels, differences = _wheels(run, work_dir)
    settings = Settings(
        matrix=matrix,
        subject=ResolvedSubject(subject=run.subject, wheel=wheel),
        own_wheels=own_wheels,
        checks=checks,
        work_dir=work_dir,
        check_filter=run.check_filter,
        as_of=run.as_of,
        options=replace(
            options,
            fresh=_FRESH in run.command,
            base_origin=options.base_origin or (run.setup.base_origin if run.setup else None),
            require_limits=options.require_limits or run.require_limits,
        ),
    )
    differences += _differences(run, settings)
    if differences:
        listed = "".join(f"\n  {each}" for each in differences)
        msg = (
            f"The run {run.id} can't go on: its cells would not be of one kind.{listed}\n"
            f"Put it back as it was, or begin a new run: {called('matrix')}"
        )
        raise UsageError(msg)
    cells = unfinished(stored)
    locks, problems = _locks(stored, cells)
    return Resumption(
        stored=stored,
        settings=settings,
        cells=cells,
        locks=locks,
        problems=(
            *(f"a result that can't be read is made anew: {each}" for each in stored.problems),
            *(f"a lock that can't be read is resolved anew: {each}" for each in problems),
        ),
    )


def _wheels(run: Run, work_dir: Path) -> tuple[Path | None, tuple[KeptWheel, ...], list[str]]:
    """Return the subject's wheel, the other built wheels, and problems with them."""
    wheel: Path | None = None
    own_wheels: tuple[KeptWheel, ...] = ()
    problems = []
    try:
        wheel = kept_wheel(run.subject, work_dir)
    except SubjectError as error:
        gone = str(error).partition("\n")[0]
        problems.append(f"the subject's wheel is gone, or another one: {gone}")
    try:
        own_wheels = kept_wheels(run.own_wheels, work_dir)
    except SubjectError as error:
        problems.append(str(error).partition("\n")[0])
    return wheel, own_wheels, problems


def _locks(stored: StoredRun, cells: Iterable[Cell]) -> tuple[dict[str, Lock], list[str]]:
    """Return the locks that cells have already, and what is wrong with others."""
    locks, problems = {}, []
    for cell in cells:
        result = stored.results.get(cell.id)
        if result is None or result.lock is None:
            continue
        try:
            locks[cell.id] = read_lock(stored.folder, result.lock, stored.run)
        except RunFilesError as error:
            problems.append(str(error).partition("\n")[0])
    return locks, problems


def _differences(run: Run, settings: Settings) -> Iterator[str]:
    """Yield what the run recorded of what it stands on, and is not so any more."""
    if run.setup is None:
        yield f"it was made by matrixci {run.matrixci}, which didn't record what it stands on"
        return
    now = settings.setup
    if matrix_digest(settings.matrix) != run.matrix_digest:
        yield "the matrix was changed since"
    if now.checks_digest != run.setup.checks_digest:
        yield f"the checks in {settings.checks}, or what runs them, were changed since"
    if now.base_origin != run.setup.base_origin:
        was = run.setup.base_origin or "from a registry, or assembled where none answers"
        yield f"its base images are {was}, and {now.base_origin} ones are asked for"
