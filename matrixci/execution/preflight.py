"""Checks before a run: free space on the disks that it fills."""

import shutil
from pathlib import Path
from typing import Final

from matrixci.engine.client import Engine
from matrixci.errors import DiskFullError, EngineError, RunFilesError
from matrixci.util.invocation import called

HOME_BYTES: Final = 256 * 2**20
"""Size of the files of a large run."""

_GIB: Final = 2**30


async def check_free_space(engine: Engine, work_dir: Path, needed: int) -> str | None:
    """Check that the disks of the engine and of the work directory have enough free space.

    Args:
        engine: stores images and containers.
        work_dir: the folder of runs and caches.
        needed: bytes that must be free on the engine's disk.

    Returns:
        A remark, if the free space of the engine is unknown.

    Raises:
        DiskFullError: a disk has too little space; the message says how to free some.
        RunFilesError: the disk of the work directory cannot be read.
    """
    _refuse_full_work_dir(work_dir)
    try:
        free = await engine.free_disk()
    except EngineError as error:
        return f"the free disk space of the container engine is unknown: {error}"
    if free is None:
        return "the free disk space of the container engine is unknown"
    if free < needed:
        msg = (
            f"The disk of the container engine is nearly full: {_gib(free)} are free, and "
            f"{_gib(needed)} are needed (limits: min-free-disk in matrix.yaml).\n"
            f"Free some space: {called('clean', '--all')}"
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
        msg = f"Cannot read the free space of the work directory {work_dir}: {error.strerror}"
        raise RunFilesError(msg) from error
    if free < HOME_BYTES:
        msg = (
            f"The disk of the work directory is nearly full: {_gib(free)} are free in {place}, and "
            f"{_gib(HOME_BYTES)} are needed.\n"
            f"Remove old runs from {work_dir / 'runs'}, or choose another --work-dir."
        )
        raise DiskFullError(msg)


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
