"""What must be there before a run begins: room on the disks that it fills."""

import shutil
from pathlib import Path
from typing import Final

from matrixci.engine.client import Engine
from matrixci.errors import DiskFullError, EngineError, RunFilesError
from matrixci.util.invocation import called

HOME_BYTES: Final = 256 * 2**20
"""What the files of a large run come to."""

_GIB: Final = 2**30


async def make_sure_of_room(engine: Engine, work_dir: Path, needed: int) -> str | None:
    """Make sure that the disks of the engine and of the runs are not nearly full.

    Args:
        engine: where images and containers lie.
        work_dir: where runs and caches lie.
        needed: what must be free for the engine, in bytes.

    Returns:
        What is worth knowing, in a line: that the engine's disk can't be seen.

    Raises:
        DiskFullError: less is free; the message has the figures, and how to free some.
        RunFilesError: the work directory can't be looked at.
    """
    _refuse_full_work_dir(work_dir)
    try:
        free = await engine.free_disk()
    except EngineError as error:
        return f"how much room the container engine has is not known: {error}"
    if free is None:
        return "how much room the container engine has is not known"
    if free < needed:
        msg = (
            f"The disk of the container engine is nearly full: {_gib(free)} are free, and "
            f"{_gib(needed)} are needed (limits: min-free-disk in matrix.yaml).\n"
            f"Free some: {called('clean', '--all')}"
        )
        raise DiskFullError(msg)
    return None


def _refuse_full_work_dir(work_dir: Path) -> None:
    place = work_dir.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        msg = f"The folder of the runs, {work_dir}, can't be looked at: {error.strerror}"
        raise RunFilesError(msg) from error
    if free < HOME_BYTES:
        msg = (
            f"The disk of the runs is nearly full: {_gib(free)} are free in {place}, and "
            f"{_gib(HOME_BYTES)} are needed.\n"
            f"Remove runs that nobody needs from {work_dir / 'runs'}, or name another --work-dir."
        )
        raise DiskFullError(msg)


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
