"""Check the results of a run of the default matrix. Uses only the standard library.

Usage: check_run.py RUN_FOLDER CELL...
"""

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

Document = dict[str, Any]

UNSATISFIABLE = "py3.13-numpy1-"  # NumPy 1.x has no wheel for Python 3.13
RESET = "test_accelerator_state.py::test_default_keeps_accelerator_state"


def main(folder: Path, expected: set[str]) -> int:
    """Print the problems of a run and return how many there are."""
    run = json.loads((folder / "run.json").read_text())
    cells = {path.stem: json.loads(path.read_text()) for path in (folder / "cells").glob("*.json")}
    problems = [f"{name}: missing from the run, or not expected" for name in expected ^ set(cells)]
    problems += [] if run["ended"] else ["the run did not end"]
    for name, cell in sorted(cells.items()):
        problems += [f"{name}: {text}" for text in problems_of(name, cell, run, folder)]
    for problem in problems:
        print(problem)
    print(f"{len(cells)} cells checked, {len(problems)} problems")
    return len(problems)


def problems_of(name: str, cell: Document, run: Document, folder: Path) -> list[str]:
    """Return the problems of one cell's result."""
    if name.startswith(UNSATISFIABLE):
        explained = cell["outcome"] == "unsatisfiable" and "numpy<2" in cell["message"]
        return [] if explained else [f"is {cell['outcome']}, with {cell['message']!r}"]
    checks = {check["id"]: check["outcome"] for check in cell["checks"]}
    lock = (folder / cell["lock"]["file"]).read_text()
    expectations = {
        "belongs to this run": cell["run"] == run["id"],
        "has evidence": cell["outcome"] in {"passed", "partial", "failed"}
        and cell["reason"] in {None, "checks", "missing-hardware"},
        "attests its Python": cell["attestation"]["python"].rpartition(".")[0]
        == cell["cell"]["python"],
        "attests its NumPy": cell["attestation"]["modules"]["numpy"].split(".")[0]
        == cell["cell"]["axes"]["numpy"][0],
        "ran its checks": len(checks) > 50,
        "lost no check": "missing" not in checks.values(),
        "has a hash for each pin": lock.count("==") <= lock.count("--hash="),
        "timed its steps": {"resolve", "build", "start", "checks", "collect"}
        <= {step["name"] for step in cell["steps"]},
        "finds the reset of the accelerator's state": checks.get(RESET)
        == ("skipped" if cell["cell"]["gpu"] else "failed"),
        "has only known failures": all(
            outcome in {"passed", "skipped"} or is_known(check, run)
            for check, outcome in checks.items()
        ),
    }
    return [f"expected, but not true: {fact}" for fact, holds in expectations.items() if not holds]


def is_known(check: str, run: Document) -> bool:
    """Return whether a known issue of the matrix covers a check."""
    globs = [issue["check"].replace("[", "[[]") for issue in run["known_issues"]]
    return any(fnmatchcase(check, glob) for glob in globs)


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1]), set(sys.argv[2:])) else 0)
