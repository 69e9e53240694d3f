"""Runs of the real supervisor over small folders of checks."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HARNESS = Path(__file__).parents[2] / "matrixci" / "harness"
PAGE = HARNESS.parents[1] / "docs" / "reference" / "writing-checks.md"
INTERPRETER = sys.executable
TIMEOUT = 60  # seconds: far more than any run needs, so that a hang fails the test

EXPECTED = "expected failures of built-in checks belong in matrix.yaml's known-issues"

CELL: Mapping[str, Any] = {
    "schema": 1,
    "nonce": "abcd",
    "run": "run-1",
    "cell": "py3-cpu",
    "axes": {"python": "3", "device": "cpu"},
    "device": "cpu",
    "subject": "pytest",
    "builtin": True,
    "requires": ["pytest"],
    "lock": {},
    "torch_backend": None,
    "torch_fallback": False,
    "select": None,
    "only": None,
    "limits": {"check_seconds": 30},
}


@dataclass(frozen=True, kw_only=True)
class HarnessRun:
    """Results and log of a run of the supervisor."""

    status: int
    log: str
    raw: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def collected(self) -> list[dict[str, Any]]:
        return [check for record in self.of("collected") for check in record["checks"]]

    @property
    def ends(self) -> dict[str, dict[str, Any]]:
        return {record["id"]: record for record in self.of("end")}

    @property
    def outcomes(self) -> dict[str, str]:
        return {check: end["outcome"] for check, end in self.ends.items()}

    @property
    def complete(self) -> bool:
        count = len(self.collected)
        footer = self.records[-1]
        return (self.status, footer.get("checks"), footer.get("ended")) == (0, count, count)


def write_cell(folder: Path, files: Mapping[str, str], cell: Mapping[str, object]) -> list[str]:
    """Write a cell to a folder; return the command that runs it."""
    (folder / "checks").mkdir()
    (folder / "results").mkdir()
    for name, text in files.items():
        path = folder / "checks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (folder / "cell.json").write_text(json.dumps({**CELL, **cell}))
    return [INTERPRETER, str(HARNESS / "supervise.py"), str(folder / "cell.json")]


def supervise(
    folder: Path,
    files: Mapping[str, str] | str,
    environment: Mapping[str, str] | None = None,
    **cell: object,
) -> HarnessRun:
    """Run the supervisor over checks; each line of results must have a bounded size."""
    named = {"test_it.py": files} if isinstance(files, str) else files
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PY")}
    done = subprocess.run(
        write_cell(folder, named, cell),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=folder,
        env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        timeout=TIMEOUT,
    )
    results = folder / "results" / "results.jsonl"
    raw = results.read_bytes() if results.exists() else b""
    assert all(len(line) < 64 * 1024 for line in raw.splitlines())
    return HarnessRun(status=done.returncode, log=done.stdout.decode(errors="replace"), raw=raw)


def install(folder: Path, modules: Mapping[str, str]) -> dict[str, str]:
    """Install modules as distributions of version 2.0; return the environment that finds them."""
    folder.mkdir()
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        metadata = folder / f"{name}-2.0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.title()}\nVersion: 2.0\n")
    return {"PYTHONPATH": str(folder)}


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, reaped or not; wait for it briefly."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
