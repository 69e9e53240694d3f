"""Patched packages in a folder that is to come first on the path; what is installed is not touched.

A folder on the way to a patched file is made anew, with a link for each of its other entries; so
the rest of a package stays what was installed, bytecode included, and an overlay costs nothing.
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
    """Lay one patched file into the folder.

    Raises:
        ValueError: there is no such file, or nothing in it to be replaced.
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
    """Copy a distribution's metadata, once."""
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
    """Make the folders on the way to a file real, and return the file's place."""
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
