"""A history's file: opened, waited for, and set aside where it is damaged; never overwritten."""

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

PATIENCE_SECONDS: Final = 30.0
"""How long a file that another process writes to is waited for."""

_BESIDE: Final = ("", "-wal", "-shm")
_HEADER: Final = b"SQLite format 3\0"
_PAUSE_SECONDS: Final = 0.05


def open_for_writing(
    path: Path, say: Callable[[str], None], patience: float = PATIENCE_SECONDS
) -> sqlite3.Connection:
    """Open a history, made where there is none; a damaged one is set aside, and a new one begun.

    Args:
        path: the file.
        say: told what was set aside, in a line.
        patience: seconds to wait for another process that writes.

    Raises:
        HistoryError: it can't be made or written, stays locked, or is of a newer version.
        UsageError: it is another program's database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The history's folder {path.parent} can't be made: {error}"
        raise HistoryError(msg) from error
    try:
        return _open(path, "rwc", patience)
    except DamagedHistoryError as error:
        if aside := _set_aside(path, patience):
            say(f"{error} It is set aside as {aside}, and a new one is begun.")
    return _open(path, "rwc", patience)


def open_for_reading(path: Path, patience: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """Open a history that must be there; nothing of it is changed but its version.

    Where nothing can be written, not even what SQLite keeps beside a file, it is read as it lies.

    Raises:
        UsageError: there is none, or it is another program's database.
        DamagedHistoryError: it is damaged.
        HistoryError: it can't be read, stays locked, or is of a newer version.
    """
    if not path.is_file():
        msg = f"There is no history {path}.\nTake a run in: {called('history', 'add')}"
        raise UsageError(msg)
    try:
        return _open(path, "rw", patience)
    except ReadOnlyHistoryError:
        beside = path.with_name(f"{path.name}-wal")
        if beside.exists() and beside.stat().st_size > 0:
            raise  # what was written last lies there
        return _open(path, "ro&immutable=1", patience)


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Tell in plain words what SQLite reports of a file.

    Raises:
        DamagedHistoryError: the file is damaged.
        HistoryError: whatever else keeps it from being read or written.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _in_plain_words(error, path) from error


def _open(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    _look_at_header(path)
    with readable_errors(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,  # transactions are begun and ended by hand
        )
    try:
        with readable_errors(path):
            _prepare(connection, path, patience, immutable="immutable" in mode)
    except BaseException:
        connection.close()
        raise
    return connection


def _look_at_header(path: Path) -> None:
    """Refuse what is no SQLite file before SQLite sees it: it would remove what lies beside it.

    Raises:
        DamagedHistoryError: it is none.
        HistoryError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"The history {path} can't be read: {error}"
        raise HistoryError(msg) from error
    if header not in {_HEADER, b""}:
        msg = f"The history {path} is damaged: file is not a database."
        raise DamagedHistoryError(msg)


def _prepare(
    connection: sqlite3.Connection, path: Path, patience: float, *, immutable: bool
) -> None:
    found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        msg = f"The history {path} is damaged: {' '.join(str(found[0]).split())}."
        raise DamagedHistoryError(msg)
    if is_foreign(connection):
        msg = f"{path} is another program's database; name another file with --history."
        raise UsageError(msg)
    if (version := version_of(connection)) > VERSION:
        msg = (
            f"The history {path} is of version {version}, and this matrixci knows versions up to "
            f"{VERSION}.\nUse the newer matrixci that wrote it, or another file: --history PATH"
        )
        raise HistoryError(msg)
    if version == VERSION and immutable:
        return
    _write_ahead(connection, patience)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    migrate(connection)


def _write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Have changes written ahead, so that readers and a writer don't wait for one another.

    The change to it doesn't wait for another process by itself, as everything else does.
    """
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is(error, "SQLITE_BUSY", "SQLITE_LOCKED") or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(_PAUSE_SECONDS)


def _set_aside(path: Path, patience: float) -> Path | None:
    """Rename a damaged history; return where it is, None where another process has done it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # SQLite's own locks are others
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                return None
            if not _is_damaged(path, patience):
                return None
            aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S.%fZ}")
            # The file itself goes last: until then it is the one that others find locked.
            for ending in reversed(_BESIDE):
                part = path.with_name(path.name + ending)
                if part.exists():
                    part.rename(aside.with_name(aside.name + ending))
            return aside
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"The history {path} is damaged, and can't be set aside: {error}"
        raise HistoryError(msg) from error


def _is_damaged(path: Path, patience: float) -> bool:
    try:
        with closing(_open(path, "rw", patience)):
            return False
    except DamagedHistoryError:
        return True


def _in_plain_words(error: sqlite3.Error, path: Path) -> HistoryError:
    if _is(error, "SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return DamagedHistoryError(f"The history {path} is damaged: {error}.")
    if _is(error, "SQLITE_BUSY", "SQLITE_LOCKED"):
        return HistoryError(
            f"The history {path} is locked by another process, and stayed so.\n"
            "Try again when that has ended."
        )
    if _is(error, "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"):
        return ReadOnlyHistoryError(
            f"The history {path} can't be written: {error}.\n"
            "Make it and its folder writable, or name another file: --history PATH"
        )
    return HistoryError(f"The history {path} can't be used: {error}.")


def _is(error: sqlite3.Error, *names: str) -> bool:
    """Return whether an error is one of these, by SQLite's name of it or one that extends it."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return any(name == each or name.startswith(f"{each}_") for each in names)
