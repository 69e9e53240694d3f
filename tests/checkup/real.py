"""Runs of real releases, each in one real cell, and their expected outcomes."""

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
    """The cell of a release has no result; the message contains the output of the command."""


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """Result of a release's cell."""

    release: Release
    seconds: float
    image: str
    cell_values: dict[str, Any]
    """Values for cell.json."""
    checks: dict[str, tuple[str, str]]
    """Id of a check to its outcome and message."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A check with another outcome than expected for its release."""

    check: str
    expected: Expected | None
    outcome: str
    message: str

    @property
    def is_false_alarm(self) -> bool:
        """Whether the check should have passed, but did not."""
        wanted = self.expected.outcomes if self.expected else ("passed",)
        return self.outcome != "passed" and "failed" not in wanted


def run_release(release: Release, cell: str, work_dir: Path) -> CellRun:
    """Run the cell of a release.

    Raises:
        NoCellError: there is no result.
    """
    name = release.subject.replace("==", "-")
    work_dir = work_dir / name
    work_dir.mkdir(parents=True, exist_ok=True)
    matrix = yaml.safe_load((ROOT / "matrix.yaml").read_text(encoding="utf-8"))
    matrix["requires"] = ["torch", f"accelerate=={release.accelerate}"]
    matrix["known-issues"] = []  # the table of releases has its own expectations
    matrix["limits"]["reruns"] = 0  # failures are expected
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
    cell_values = {
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
        cell_values=cell_values,
        checks={one["id"]: (one["outcome"], one["message"]) for one in result["checks"]},
    )


def expected_of(check: str, release: Release, table: Releases) -> Expected | None:
    """Return the expected outcome of a check; None if it must pass. The last entry wins."""
    found = [one for one in (*table.every, *release.expected) if matches(one.check, check)]
    return found[-1] if found else None


def differences(run: CellRun, table: Releases) -> list[Difference]:
    """Return the checks with unexpected outcomes, and the entries that match no check."""
    found: list[Difference] = []
    for check, (outcome, message) in run.checks.items():
        expected = expected_of(check, run.release, table)
        if outcome not in (expected.outcomes if expected else ("passed",)):
            found.append(
                Difference(check=check, expected=expected, outcome=outcome, message=message)
            )
    for one in (*table.every, *run.release.expected):
        if not any(matches(one.check, check) for check in run.checks):
            missing = "no such check exists"
            found.append(
                Difference(check=one.check, expected=one, outcome="missing", message=missing)
            )
    return found
