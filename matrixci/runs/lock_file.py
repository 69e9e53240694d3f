"""A cell's lock as the run's folder keeps it: read back, and held against its digest."""

from pathlib import Path

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.lock import Lock, parse_lock
from matrixci.locks.own_wheels import with_wheels_of
from matrixci.model import LockRecord, Run
from matrixci.util.invocation import called


def read_lock(folder: Path, record: LockRecord, run: Run) -> Lock:
    """Return the lock that a run's folder keeps for a cell.

    Args:
        folder: the run's folder.
        record: what the cell's result says of the lock.
        run: the run; where it has wheels of our own, the lock installs those.

    Raises:
        RunFilesError: the file is missing, or isn't the lock that the result speaks of.
    """
    path = folder / record.file
    if not path.resolve().is_relative_to(folder.resolve()):
        msg = f"The lock {record.file} is not within the run's folder {folder}."
        raise RunFilesError(msg)
    try:
        pins = parse_lock(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ResolverError) as error:
        msg = f"The lock {path} can't be read: {error}"
        raise RunFilesError(msg) from error
    lock = Lock(pins=pins, torch_backend=record.torch_backend, fallback=record.fallback)
    if lock.digest != record.digest:
        msg = (
            f"The lock {path} is not the one that the cell's result speaks of: it was changed.\n"
            f"Run the cell anew: {called('matrix')}"
        )
        raise RunFilesError(msg)
    return with_wheels_of(lock, run)
