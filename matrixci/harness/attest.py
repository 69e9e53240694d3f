"""Attest which versions a fresh interpreter finds installed.

Usage: python attest.py EVENT_FD; see child_process.py. Writes lines of JSON to the descriptor, each
more complete than the one before, so that an import that crashes loses no earlier facts.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
from typing import Any

MODULES = ("numpy", "torch")


def distributions() -> dict[str, str]:
    """Return the installed distributions: normalised name to version."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on sys.path is the one that an import finds. A version can be lacking.
            normalised = re.sub(r"[-_.]+", "-", name).lower()
            found.setdefault(normalised, distribution.version or "unknown")
    return found


def facts() -> dict[str, Any]:
    """Return what can be told without an import of the stack under test."""
    installed = distributions()
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "distributions": dict(sorted(installed.items())),
        "modules": dict.fromkeys(name for name in MODULES if name in installed),
        "torch_cuda": None,
        "gpus": 0,
    }


def imported(name: str) -> dict[str, Any]:
    """Import a module and return what it says of itself.

    Raises:
        BaseException: whatever the import raises.
    """
    module = importlib.import_module(name)
    told: dict[str, Any] = {"version": str(module.__version__)}
    if name == "torch":
        told["torch_cuda"] = module.version.cuda
        told["gpus"] = module.cuda.device_count() if module.cuda.is_available() else 0
    return told


def main() -> None:
    """Tell the facts, then import module after module and tell what each says."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the signature is os's
    del sys.path[0]  # this folder: its files must not stand in for anyone's modules
    faulthandler.enable()
    known = facts()
    tell(descriptor, known)
    for name in known["modules"]:
        try:
            told = imported(name)
        except BaseException as error:  # noqa: BLE001 - a SystemExit at import is a failure too
            sys.stderr.write(f"matrixci: import {name}: {type(error).__name__}: {error}\n")
            continue
        known["modules"][name] = told.pop("version")
        known.update(told)
        tell(descriptor, known)


def tell(descriptor: int, known: dict[str, Any]) -> None:
    """Write one line to the descriptor."""
    with open(descriptor, "wb", closefd=False) as pipe:
        pipe.write(json.dumps(known).encode() + b"\n")


if __name__ == "__main__":
    main()
