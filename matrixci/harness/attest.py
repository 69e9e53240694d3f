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
    """Return normalised name to version of the installed distributions."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # An import finds the first one on sys.path. The version may be missing.
            normalised = re.sub(r"[-_.]+", "-", name).lower()
            found.setdefault(normalised, distribution.version or "unknown")
    return found


def initial_facts() -> dict[str, Any]:
    """Return the facts that need no import of the stack under test."""
    installed = distributions()
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "distributions": dict(sorted(installed.items())),
        "modules": dict.fromkeys(name for name in MODULES if name in installed),
        "torch_cuda": None,
        "gpus": 0,
    }


def module_facts(name: str) -> dict[str, Any]:
    """Import a module and return its version, for torch also the version of CUDA and the GPUs.

    Raises:
        BaseException: any exception that the import raises.
    """
    module = importlib.import_module(name)
    found: dict[str, Any] = {"version": str(module.__version__)}
    if name == "torch":
        found["torch_cuda"] = module.version.cuda
        found["gpus"] = module.cuda.device_count() if module.cuda.is_available() else 0
    return found


def main() -> None:
    """Write the initial facts, then import each module and write its facts."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the signature is os's
    del sys.path[0]  # this folder: its modules must not shadow others
    faulthandler.enable()
    facts = initial_facts()
    write(descriptor, facts)
    for name in facts["modules"]:
        try:
            found = module_facts(name)
        except BaseException as error:  # noqa: BLE001 - SystemExit during an import is a failure
            sys.stderr.write(f"matrixci: import {name}: {type(error).__name__}: {error}\n")
            continue
        facts["modules"][name] = found.pop("version")
        facts.update(found)
        write(descriptor, facts)


def write(descriptor: int, facts: dict[str, Any]) -> None:
    """Write one line of JSON to the descriptor."""
    with open(descriptor, "wb", closefd=False) as pipe:
        pipe.write(json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    main()
