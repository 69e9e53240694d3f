"""Preparation to resume a run: its unfinished cells, and whether its inputs are unchanged."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, SubjectError, UsageError
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.locks.lock import Lock
from matrixci.locks.own_wheels import StoredWheel, stored_wheels
from matrixci.locks.subject import ResolvedSubject, subject_wheel
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
    """A run to resume."""

    stored: StoredRun
    settings: Settings
    cells: tuple[Cell, ...]
    """The cells without a final result."""
    locks: Mapping[str, Lock]
    """Cell id to the lock that a cell has already; it is kept even if there are newer releases."""
    problems: tuple[str, ...]
    """Locks and results that cannot be read any more."""

    @property
    def run(self) -> Run:
        """The run's record, marked as not ended."""
        required = self.settings.options.require_limits
        again = {"ended": None, "interrupted": False, "require_limits": required}
        return self.stored.run.model_copy(update=again)


def unfinished(stored: StoredRun) -> tuple[Cell, ...]:
    """Return the cells whose result is missing, damaged, an error or cancelled."""
    return tuple(cell for cell in stored.run.cells if not _is_final(stored, cell))


def _is_final(stored: StoredRun, cell: Cell) -> bool:
    result = stored.results.get(cell.id)
    return result is not None and result.outcome in CONCLUSIVE


def prepare_resumption(
    stored: StoredRun, matrix: Matrix, checks: Path, work_dir: Path, options: ExecutionOptions
) -> Resumption:
    """Return a run ready to resume with the same inputs.

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
    _refuse(run, [*differences, *_differences(run, settings)])
    cells = unfinished(stored)
    locks, problems = _locks(stored, cells)
    return Resumption(
        stored=stored,
        settings=settings,
        cells=cells,
        locks=locks,
        problems=(
            *(
                f"running a cell again, because its result cannot be read: {each}"
                for each in stored.problems
            ),
            *(
                f"resolving a cell again, because its lock cannot be read: {each}"
                for each in problems
            ),
        ),
    )


def _refuse(run: Run, differences: Sequence[str]) -> None:
    if differences:
        listed = "".join(f"\n  {each}" for each in differences)
        msg = (
            f"Cannot resume run {run.id}: its inputs have changed.{listed}\n"
            f"Restore them, or start a new run: {called('matrix')}"
        )
        raise UsageError(msg)


def _wheels(run: Run, work_dir: Path) -> tuple[Path | None, tuple[StoredWheel, ...], list[str]]:
    """Return the subject's wheel, the other built wheels, and problems with them."""
    wheel: Path | None = None
    own_wheels: tuple[StoredWheel, ...] = ()
    problems = []
    try:
        wheel = subject_wheel(run.subject, work_dir)
    except SubjectError as error:
        gone = str(error).partition("\n")[0]
        problems.append(f"the subject's wheel is missing or has changed: {gone}")
    try:
        own_wheels = stored_wheels(run.own_wheels, work_dir)
    except SubjectError as error:
        problems.append(str(error).partition("\n")[0])
    return wheel, own_wheels, problems


def _locks(stored: StoredRun, cells: Iterable[Cell]) -> tuple[dict[str, Lock], list[str]]:
    """Return the locks that cells have already, and the problems of unreadable ones."""
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
    """Yield each input of the run that has changed."""
    if run.setup is None:
        yield f"it was made by matrixci {run.matrixci}, which did not record its inputs"
        return
    now = settings.setup
    if matrix_digest(settings.matrix) != run.matrix_digest:
        yield "the matrix has changed"
    if now.checks_digest != run.setup.checks_digest:
        yield f"the checks in {settings.checks}, or matrixci's harness, have changed"
    if now.base_origin != run.setup.base_origin:
        was = run.setup.base_origin or "from any source"
        yield f"its base images are {was}, but --base asks for {now.base_origin}"
