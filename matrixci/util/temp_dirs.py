"""Temporary folders named after their process, so that leftovers of a killed one can be removed.

Folders of builds contain the credentials of the index, so they must not be left behind.
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
_SLASH: Final = "+"  # replaces the owner's slashes; no machine name contains it


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Yield an empty folder, which is removed afterwards."""
    maker = owner.this_process().replace("/", _SLASH)
    with tempfile.TemporaryDirectory(prefix=f"matrixci-{kind}@{maker}@") as name:
        yield Path(name)


def sweep_temporary_folders() -> int:
    """Remove folders of processes that were killed, and return their number.

    A folder with a mount in it is kept: an interrupted debootstrap leaves /proc and /sys mounted.
    """
    swept = 0
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        mounts = ""
    for path in Path(tempfile.gettempdir()).glob("matrixci-*@*@*"):
        named = _NAME.fullmatch(path.name)
        is_left = named and owner.is_dead(named["owner"].replace(_SLASH, "/"))
        if is_left and f" {path}/" not in mounts:
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
    return swept
