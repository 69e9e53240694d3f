"""The files that go into images and containers, as package data or in a checkout."""

from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

_PACKAGE: Final = Path(str(files("matrixci")))


def data_folder(name: Literal["docker", "checks", "harness"]) -> Path:
    """Return the folder of a kind of data files.

    An installed package carries its own copy and uses nothing else. What lies beside the package
    counts only in a checkout: in site-packages a folder `docker` is another distribution's.
    """
    if name == "harness":
        return _PACKAGE / name
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
