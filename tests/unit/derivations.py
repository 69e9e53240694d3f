"""Proofs of the installed uv, made from small indexes of our own.

data/derivations.json has, for each case, an index, a request and what uv said. To refresh it after
an update of uv: `python tests/unit/derivations.py`, then read the changed reasons in the diff.
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

from matrixci.locks.held_back_reason import Unused, own_fault, reason_of_conflict
from matrixci.locks.index_settings import index_environment
from matrixci.locks.unsatisfiable import readable_reason

FILE = Path(__file__).parent / "data/derivations.json"
PYTHON = "3.13"
OLD_TAG = "cp312-cp312-manylinux_2_17_x86_64"


class Release(TypedDict):
    """A release on the index, a wheel for every Python unless it says otherwise."""

    requires: NotRequired[list[str]]
    python: NotRequired[str]
    """Requires-Python, which the index tells as well where `announced`."""
    announced: NotRequired[bool]
    old: NotRequired[bool]
    """Its only wheel is for an older Python."""
    yanked: NotRequired[bool]
    tag: NotRequired[str]
    """The tag of its only wheel."""


class NotUsed(TypedDict):
    """A release that a cell doesn't use, and why."""

    package: str
    version: str
    locked: dict[str, str]
    """What the cell's lock has."""
    reason: str | None


class Case(TypedDict):
    """A request that has no solution."""

    index: dict[str, Release]
    """Name-version to release."""
    asked: list[str]
    said: str
    """Standard error of uv."""
    reason: str
    """What a person is to read."""
    universal: NotRequired[bool]
    """Asked for any platform, without dependencies."""
    not_used: NotRequired[NotUsed]


def cases() -> dict[str, Case]:
    """Return the recorded cases by their names."""
    stored: dict[str, Case] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def prove(case: Case) -> str:
    """Return what the installed uv says of a request."""
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
    """Return the reason that is made of a proof why a release isn't used."""
    unused = Unused(package=not_used["package"], version=not_used["version"])
    cell = a_cell(python=PYTHON)
    alone = own_fault(said, unused, cell)
    return alone or reason_of_conflict(said, unused, cell, not_used["locked"])


def refresh() -> None:
    """Record anew what uv says, and the reasons that are made of it."""
    stored = cases()
    for case in stored.values():
        case["said"] = prove(case)
        case["reason"] = readable_reason(case["said"], PYTHON)
        if not_used := case.get("not_used"):
            not_used["reason"] = why_not_used(case["said"], not_used)
    FILE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    refresh()
