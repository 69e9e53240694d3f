"""Opening of the history file: waits for locks, and renames a damaged file."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from matrixci.errors import (
    DamagedHistoryError,
    HistoryError,
    ReadOnlyHistoryError,
    UsageError,
)
from matrixci.history.migrations import VERSION, is_foreign, migrate, version_of
from matrixci.model import now
from matrixci.util.invocation import called

LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process that writes to the file."""

_SUFFIXES: Final = ("", "-wal", "-shm")
_HEADER: Final = b"SQLite format 3\0"
_PAUSE_SECONDS: Final = 0.05


def open_for_writing(
    path: Path, say: Callable[[str], None], timeout: float = LOCK_TIMEOUT
) -> sqlite3.Connection:
    """Open a history for writing, and create it if needed. A damaged file is renamed first.

    Args:
        path: the file.
        say: receives a message if a damaged file was renamed.
        timeout: seconds to wait for another process that writes.

    Raises:
        HistoryError: the file cannot be created or written, stays locked, or has a newer version.
        UsageError: the file is another program's database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot create the folder {path.parent} of the history: {error}"
        raise HistoryError(msg) from error
    try:
        return _open(path, "rwc", timeout)
    except DamagedHistoryError as error:
        if aside := rename_damaged(path, timeout):
            say(f"{error} It was renamed to {aside}, and a new history was created.")
    return _open(path, "rwc", timeout)


def open_for_reading(path: Path, timeout: float = LOCK_TIMEOUT) -> sqlite3.Connection:
    """Open an existing history for reading. A file of an older version is migrated.

    If SQLite cannot write to the folder, the file is opened as immutable.

    Raises:
        UsageError: there is no such file, or it is another program's database.
        DamagedHistoryError: the file is damaged.
        HistoryError: the file cannot be read, stays locked, or has a newer version.
    """
    if not path.is_file():
        msg = f"There is no history {path}.\nAdd a run: {called('history', 'add')}"
        raise UsageError(msg)
    try:
        return _open(path, "rw", timeout)
    except ReadOnlyHistoryError:
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise  # the latest changes are in that file
        return _open(path, "ro&immutable=1", timeout)


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Convert errors of SQLite to errors with a readable message.

    Raises:
        DamagedHistoryError: the file is damaged.
        HistoryError: the file cannot be read or written for another reason.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _readable(error, path) from error


def _open(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    _check_header(path)
    with readable_errors(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=timeout,
            isolation_level=None,  # transactions are started and ended explicitly
        )
    try:
        with readable_errors(path):
            _configure(connection, path, timeout, immutable="immutable" in mode)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_header(path: Path) -> None:
    """Refuse a file that is not SQLite's before SQLite opens it and removes its WAL.

    Raises:
        DamagedHistoryError: the header is not SQLite's.
        HistoryError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"Cannot read the history {path}: {error}"
        raise HistoryError(msg) from error
    if header not in {_HEADER, b""}:
        msg = f"The history {path} is damaged: file is not a database."
        raise DamagedHistoryError(msg)


def _configure(
    connection: sqlite3.Connection, path: Path, timeout: float, *, immutable: bool
) -> None:
    found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        msg = f"The history {path} is damaged: {' '.join(str(found[0]).split())}."
        raise DamagedHistoryError(msg)
    if is_foreign(connection):
        msg = f"{path} is another program's database. Choose another file with --history."
        raise UsageError(msg)
    if (version := version_of(connection)) > VERSION:
        msg = (
            f"The history {path} has version {version}, and this matrixci reads versions up to "
            f"{VERSION}.\nUse the newer matrixci that wrote it, or another file: --history PATH"
        )
        raise HistoryError(msg)
    if version == VERSION and immutable:
        return
    _write_ahead(connection, timeout)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    migrate(connection)


def _write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Turn on the write-ahead log, so that readers and a writer do not block each other.

    SQLite does not wait for locks when the journal mode changes, so this function retries.
    """
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is(error, "SQLITE_BUSY", "SQLITE_LOCKED") or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(_PAUSE_SECONDS)


def rename_damaged(path: Path, timeout: float) -> Path | None:
    """Rename a damaged history. Return its new path, or None if another process was faster."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # independent of SQLite's own locks
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                return None
            if not _is_damaged(path, timeout):
                return None
            aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S.%fZ}")
            # Rename the file itself last: until then, other processes find it locked.
            for ending in reversed(_SUFFIXES):
                part = path.with_name(path.name + ending)
                if part.exists():
                    part.rename(aside.with_name(aside.name + ending))
            return aside
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"The history {path} is damaged and cannot be renamed: {error}"
        raise HistoryError(msg) from error


def _is_damaged(path: Path, timeout: float) -> bool:
    try:
        with closing(_open(path, "rw", timeout)):
            return False
    except DamagedHistoryError:
        return True


def _readable(error: sqlite3.Error, path: Path) -> HistoryError:
    if _is(error, "SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return DamagedHistoryError(f"The history {path} is damaged: {error}.")
    if _is(error, "SQLITE_BUSY", "SQLITE_LOCKED"):
        return HistoryError(
            f"The history {path} is still locked by another process.\n"
            "Try again after that process has ended."
        )
    if _is(error, "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"):
        return ReadOnlyHistoryError(
            f"Cannot write the history {path}: {error}.\n"
            "Make the file and its folder writable, or choose another file: --history PATH"
        )
    return HistoryError(f"Cannot use the history {path}: {error}.")


def _is(error: sqlite3.Error, *names: str) -> bool:
    """Return whether SQLite's name of an error is one of these, or an extension of one."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return any(name == each or name.startswith(f"{each}_") for each in names)
