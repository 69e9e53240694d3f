"""Patched copies of installed packages in a folder that comes first on sys.path.

Each folder that contains a patched file is created again, with links to its other entries. So the
rest of the package is the installed one, including its bytecode, and an overlay is cheap.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

METADATA = ".dist-info"


def apply(folder: Path, patch: dict[str, Any]) -> None:
    """Write one patched file to the folder.

    Raises:
        ValueError: the file does not exist, or contains no match.
    """
    top, _, rest = patch["file"].partition("/")
    if top.endswith(METADATA):
        target = _metadata(folder, top.removesuffix(METADATA)) / rest
    else:
        target = _farm(folder, top, Path(rest))
    if not target.exists():
        msg = f"{patch['file']}: no such file is installed"
        raise ValueError(msg)
    text = target.read_text(encoding="utf-8")
    target.unlink()
    target.write_text(_patched(text, patch), encoding="utf-8")


def _patched(text: str, patch: dict[str, Any]) -> str:
    if "append" in patch:
        return f"{text}\n\n{patch['append']}"
    new, count = re.subn(patch["replace"], patch["by"], text, flags=re.MULTILINE)
    if not count:
        msg = f"{patch['file']}: nothing matches {patch['replace']!r}"
        raise ValueError(msg)
    return new


def _metadata(folder: Path, name: str) -> Path:
    """Copy the metadata of a distribution once."""
    original = Path(str(importlib.metadata.distribution(name).locate_file("")))
    [info] = [
        path
        for path in original.glob(f"*{METADATA}")
        if re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower() == name
    ]
    if not (folder / info.name).exists():
        shutil.copytree(info, folder / info.name)
    return folder / info.name


def _farm(folder: Path, package: str, rest: Path) -> Path:
    """Create the folders above a file, and return its path."""
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        msg = f"no package {package} is installed"
        raise ValueError(msg)
    original = Path(next(iter(spec.submodule_search_locations)))
    made = folder / package
    _links(original, made)
    for part in rest.parts[:-1]:
        original, made = original / part, made / part
        _links(original, made)
    return made / rest.name


def _links(original: Path, made: Path) -> None:
    if made.is_symlink():
        made.unlink()
    if made.exists() or not original.is_dir():
        return
    made.mkdir(parents=True)
    for entry in original.iterdir():
        (made / entry.name).symlink_to(entry)
