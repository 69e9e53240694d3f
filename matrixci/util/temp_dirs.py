"""Temporary folders that bear their maker's name, so that what a killed process left can be swept.

One of a build holds the index's credentials; it must not lie about for ever.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from matrixci.util import process_identity as owner

_NAME: Final = re.compile(r"matrixci-\w+@(?P<owner>[^@/]+)@\w+")
_MOUNTS: Final = Path("/proc/self/mounts")
_SLASH: Final = "+"  # stands for the owner's slashes, and is in no name of a machine


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Yield an empty folder of this process's own; it is gone afterwards."""
    made_by = owner.this_process().replace("/", _SLASH)
    with tempfile.TemporaryDirectory(prefix=f"matrixci-{kind}@{made_by}@") as name:
        yield Path(name)


def sweep_temporary_folders() -> int:
    """Remove the folders whose maker was killed; return how many there were.

    One in which something is mounted is left alone: a debootstrap that was broken off leaves the
    kernel's own file systems in its root.
    """
    swept = 0
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        mounts = ""
    for path in Path(tempfile.gettempdir()).glob("matrixci-*@*@*"):
        named = _NAME.fullmatch(path.name)
        is_left = named and owner.is_dead(named["owner"].replace(_SLASH, "/"))
        if is_left and f" {path}/" not in mounts:
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
    return swept
