"""Real releases, each in one real cell by the command that a user types, and what is expected."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from checkup.data import Expected, Release, Releases, matches

ROOT = Path(__file__).parents[2]


class NoCellError(Exception):
    """A release's cell left no result; the message has the command's output."""


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """What one release's cell came to."""

    release: Release
    seconds: float
    image: str
    told: dict[str, Any]
    """What the container was told of its cell."""
    checks: dict[str, tuple[str, str]]
    """Check id to outcome and message."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A check that came to something else than is true of its release."""

    check: str
    expected: Expected | None
    outcome: str
    message: str

    @property
    def is_false_alarm(self) -> bool:
        """Something was called broken that isn't, or said nothing where it should have."""
        wanted = self.expected.outcomes if self.expected else ("passed",)
        return self.outcome != "passed" and "failed" not in wanted


def run_release(release: Release, cell: str, work_dir: Path) -> CellRun:
    """Run a release's cell.

    Raises:
        NoCellError: there is no result.
    """
    name = release.subject.replace("==", "-")
    work_dir = work_dir / name
    work_dir.mkdir(parents=True, exist_ok=True)
    matrix = yaml.safe_load((ROOT / "matrix.yaml").read_text(encoding="utf-8"))
    matrix["requires"] = ["torch", f"accelerate=={release.accelerate}"]
    matrix["known-issues"] = []  # here every outcome is held against a table of its own
    matrix["limits"]["reruns"] = 0  # what fails is expected to
    file = work_dir / "matrix.yaml"
    file.write_text(yaml.safe_dump(matrix, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "matrixci", "matrix", "--matrix", str(file), "--fresh"]
    command += ["--work-dir", str(work_dir), "--cell", cell, "--subject", release.subject]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    stored = work_dir / "runs" / "latest" / "cells" / f"{cell}.json"
    result = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    if not result.get("checks"):
        msg = f"{release.subject}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        raise NoCellError(msg)
    lock = result["lock"]
    told = {
        "axes": result["cell"]["axes"],
        "requires": result["cell"]["requires"],
        "lock": lock["versions"],
        "torch_backend": lock["torch_backend"],
        "torch_fallback": lock["fallback"],
    }
    return CellRun(
        release=release,
        seconds=sum(check["metrics"].get("seconds", 0) for check in result["checks"]),
        image=result["image"]["tag"],
        told=told,
        checks={one["id"]: (one["outcome"], one["message"]) for one in result["checks"]},
    )


def expected_of(check: str, release: Release, table: Releases) -> Expected | None:
    """Return what is expected of a check, None where it has to pass: the last entry counts."""
    found = [one for one in (*table.every, *release.expected) if matches(one.check, check)]
    return found[-1] if found else None


def differences(run: CellRun, table: Releases) -> list[Difference]:
    """Return the checks that came to something else than is expected of them."""
    found: list[Difference] = []
    for check, (outcome, message) in run.checks.items():
        expected = expected_of(check, run.release, table)
        if outcome not in (expected.outcomes if expected else ("passed",)):
            found.append(
                Difference(check=check, expected=expected, outcome=outcome, message=message)
            )
    for one in (*table.every, *run.release.expected):
        if not any(matches(one.check, check) for check in run.checks):
            missing = "the table names a check that doesn't exist"
            found.append(
                Difference(check=one.check, expected=one, outcome="missing", message=missing)
            )
    return found
