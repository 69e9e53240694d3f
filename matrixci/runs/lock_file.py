"""Reading of the lock of a cell from a run folder, verified by its digest."""

from pathlib import Path

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.lock import Lock, parse_lock
from matrixci.locks.own_wheels import with_wheels_of
from matrixci.model import LockRecord, Run
from matrixci.util.invocation import called


def read_lock(folder: Path, record: LockRecord, run: Run) -> Lock:
    """Return the lock of a cell, as stored in the run folder.

    Args:
        folder: the run folder.
        record: the record of the lock in the result of the cell.
        run: the run. If matrixci built wheels for it, the lock installs those.

    Raises:
        RunFilesError: the file is missing, or its digest differs from the record.
    """
    path = folder / record.file
    if not path.resolve().is_relative_to(folder.resolve()):
        msg = f"The lock {record.file} is outside the run folder {folder}."
        raise RunFilesError(msg)
    try:
        pins = parse_lock(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ResolverError) as error:
        msg = f"Cannot read the lock {path}: {error}"
        raise RunFilesError(msg) from error
    lock = Lock(pins=pins, torch_backend=record.torch_backend, fallback=record.fallback)
    if lock.digest != record.digest:
        msg = (
            f"The lock {path} was changed: its digest differs from the result of the cell.\n"
            f"Run the cell again: {called('matrix')}"
        )
        raise RunFilesError(msg)
    return with_wheels_of(lock, run)
