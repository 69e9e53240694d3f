"""Recorded proofs of the installed uv for small test indexes.

data/derivations.json has an index, a request and the output of uv for each case. After an update
of uv, refresh it with `python tests/unit/derivations.py`, then review the changed reasons.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import uv
from factories import a_cell, write_wheel
from tiny_index import serving

from matrixci.locks.held_back_reason import HeldBackRelease, conflict_reason, release_fault
from matrixci.locks.index_settings import index_environment
from matrixci.locks.unsatisfiable import readable_reason

FILE = Path(__file__).parents[1] / "unit/data/derivations.json"
PYTHON = "3.13"
OLD_TAG = "cp312-cp312-manylinux_2_17_x86_64"


class Release(TypedDict):
    """A release in the index; by default a wheel for every Python."""

    requires: NotRequired[list[str]]
    python: NotRequired[str]
    """Requires-Python; also part of the index page if `announced`."""
    announced: NotRequired[bool]
    old: NotRequired[bool]
    """Its only wheel is for an older Python."""
    yanked: NotRequired[bool]
    tag: NotRequired[str]
    """The tag of its only wheel."""


class NotUsed(TypedDict):
    """A release that a cell does not have, with the reason."""

    package: str
    version: str
    locked: dict[str, str]
    """Versions in the lock of the cell."""
    reason: str | None


class Case(TypedDict):
    """A request that has no solution."""

    index: dict[str, Release]
    """Mapping of name-version to release."""
    asked: list[str]
    said: str
    """Standard error of uv."""
    reason: str
    """Expected readable reason."""
    universal: NotRequired[bool]
    """Resolved for any platform, without dependencies."""
    not_used: NotRequired[NotUsed]


def cases() -> dict[str, Case]:
    """Return the recorded cases by their names."""
    stored: dict[str, Case] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def prove(case: Case) -> str:
    """Return the output of the installed uv for a request."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_index(folder, case["index"])
        with serving(folder) as url:
            return _compile(url, case["asked"], universal=case.get("universal", False))


def write_index(folder: Path, index: Mapping[str, Release]) -> None:
    """Write the wheels that an index serves."""
    for release, about in index.items():
        tag = about.get("tag", OLD_TAG if about.get("old") else "py3-none-any")
        python = about.get("python")
        wheel = write_wheel(folder, release, about.get("requires", []), python=python, tag=tag)
        if about.get("yanked"):
            wheel.with_suffix(".yanked").touch()
        if about.get("announced"):
            wheel.with_suffix(".python").write_text(str(python), encoding="utf-8")


def _compile(url: str, asked: Sequence[str], *, universal: bool) -> str:
    argv = [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-config", "--no-cache"]
    argv += ["--python", sys.executable, "--python-version", PYTHON]
    argv += ["--only-binary", ":all:"]
    platform = ["--python-platform", "x86_64-manylinux_2_36"]
    argv += ["--universal", "--no-deps"] if universal else platform
    environment = {**os.environ, **dict.fromkeys(index_environment(), ""), "UV_DEFAULT_INDEX": url}
    environment.pop("COLUMNS", None)  # uv would fold its lines
    text = "\n".join(asked)
    done = subprocess.run(
        argv, input=text, env=environment, capture_output=True, text=True, check=False
    )
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://index.example", done.stderr)


def why_not_used(said: str, not_used: NotUsed) -> str | None:
    """Return the reason why a release is held back, as read from a proof."""
    release = HeldBackRelease(package=not_used["package"], version=not_used["version"])
    cell = a_cell(python=PYTHON)
    alone = release_fault(said, release, cell)
    return alone or conflict_reason(said, release, cell, not_used["locked"])


def refresh() -> None:
    """Record the output of uv again, and the reasons read from it."""
    stored = cases()
    for case in stored.values():
        case["said"] = prove(case)
        case["reason"] = readable_reason(case["said"], PYTHON)
        if not_used := case.get("not_used"):
            not_used["reason"] = why_not_used(case["said"], not_used)
    FILE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    refresh()
