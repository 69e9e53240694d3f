"""Data files of images and containers, in the package or in a checkout."""

from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

_PACKAGE: Final = Path(str(files("matrixci")))


def data_folder(name: Literal["docker", "checks", "harness"]) -> Path:
    """Return the folder of some data files.

    An installed package uses only its own copy. Folders next to the package are used only in a
    checkout; in site-packages, a folder `docker` belongs to another distribution.
    """
    if name == "harness":
        return _PACKAGE / name
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
