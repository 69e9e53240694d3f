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
from factories import write_wheel
from tiny_index import serving

from matrixci.index_settings import index_environment
from matrixci.resolver_reason import readable_reason

FILE = Path(__file__).parent / "data/derivations.json"
PYTHON = "3.13"
OLD_TAG = "cp312-cp312-manylinux_2_17_x86_64"


class Release(TypedDict):
    """A release on the index, a wheel for every Python unless it says otherwise."""

    requires: NotRequired[list[str]]
    python: NotRequired[str]
    """Requires-Python."""
    old: NotRequired[bool]
    """Its only wheel is for an older Python."""
    yanked: NotRequired[bool]


class Case(TypedDict):
    """A request that has no solution."""

    index: dict[str, Release]
    """Name-version to release."""
    asked: list[str]
    said: str
    """Standard error of uv."""
    reason: str
    """What a person is to read."""


def cases() -> dict[str, Case]:
    """Return the recorded cases by their names."""
    stored: dict[str, Case] = json.loads(FILE.read_text(encoding="utf-8"))
    return stored


def prove(index: Mapping[str, Release], asked: Sequence[str]) -> str:
    """Return what the installed uv says of a request."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for release, about in index.items():
            tag = OLD_TAG if about.get("old") else "py3-none-any"
            requires = about.get("requires", [])
            wheel = write_wheel(folder, release, requires, python=about.get("python"), tag=tag)
            if about.get("yanked"):
                wheel.with_suffix(".yanked").touch()
        with serving(folder) as url:
            return _compile(url, asked)


def _compile(url: str, asked: Sequence[str]) -> str:
    argv = [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-config", "--no-cache"]
    argv += ["--python", sys.executable, "--python-version", PYTHON]
    argv += ["--python-platform", "x86_64-manylinux_2_36", "--only-binary", ":all:"]
    environment = {**os.environ, **dict.fromkeys(index_environment(), ""), "UV_DEFAULT_INDEX": url}
    text = "\n".join(asked)
    done = subprocess.run(
        argv, input=text, env=environment, capture_output=True, text=True, check=False
    )
    return re.sub(r"http://127\.0\.0\.1:\d+", "https://index.example", done.stderr)


def refresh() -> None:
    """Record anew what uv says, and the reasons that are made of it."""
    stored = cases()
    for case in stored.values():
        case["said"] = prove(case["index"], case["asked"])
        case["reason"] = readable_reason(case["said"], PYTHON)
    FILE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    refresh()
