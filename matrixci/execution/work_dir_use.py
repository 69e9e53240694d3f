"""A lock that shows which processes use a work directory."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_FILE: Final = ".in-use"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WorkDirUse:
    """A shared lock that a process holds while it uses images of a work directory."""

    _file: IO[bytes] | None

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the directory for this process alone.

        Yields:
            Whether that succeeded, so no other process uses the directory.
        """
        if self._file is None:
            yield True
            return
        alone = _lock(self._file, fcntl.LOCK_EX)
        try:
            yield alone
        finally:
            _lock(self._file, fcntl.LOCK_SH)


@contextmanager
def in_use(work_dir: Path) -> Iterator[WorkDirUse]:
    """Let other processes see that images of a work directory are in use.

    The lock ends with the process, however it ends. Where the directory does not exist, or its file
    system has no locks, nothing is locked.
    """
    try:
        file = (work_dir / _FILE).open("ab")
    except OSError as error:
        _log.debug("not locked: %s", error)
        yield WorkDirUse(_file=None)
        return
    with file:
        _lock(file, fcntl.LOCK_SH)
        yield WorkDirUse(_file=file)


def _lock(file: IO[bytes], how: int) -> bool:
    """Take or change a lock; return False if another process holds one that excludes it."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.debug("not locked: %s", error)
    return True
