"""A cell's lock as the run's folder keeps it: read back, and held against its digest."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from matrixci.errors import ResolverError, RunFilesError
from matrixci.invocation import called
from matrixci.lock import Lock, parse_lock
from matrixci.model import LockRecord, Subject


def read_lock(folder: Path, record: LockRecord, subject: Subject) -> Lock:
    """Return the lock that a run's folder keeps for a cell.

    Args:
        folder: the run's folder.
        record: what the cell's result says of the lock.
        subject: the run's subject; where it is a wheel of our own, the lock installs that.

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
    return with_own_wheel(lock, subject)


def with_own_wheel(lock: Lock, subject: Subject) -> Lock:
    """Return a lock that was read from a text as one that installs the subject's own wheel.

    Args:
        lock: as its text tells: a name, a version and a hash.
        subject: the run's; where it is no wheel of our own the lock is as it should be.
    """
    if subject.wheel is None:
        return lock
    # Only the wheel's name is of use: where it lies is for who installs it to say.
    url = f"file:///{quote(subject.wheel)}"
    own = tuple(replace(pin, url=url) if pin.name == subject.name else pin for pin in lock.pins)
    return replace(lock, pins=own)
