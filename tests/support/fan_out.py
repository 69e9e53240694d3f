"""Commands of a run on many machines, with one folder for each machine."""

import os
import subprocess
import sys
from pathlib import Path

from toy import PYTHON, Toy

from matrixci.model import CellResult
from matrixci.verdict.judged import JudgedRun


def cell_id(mode: str) -> str:
    return f"py{PYTHON}-mode-{mode}"


def matrixci(toy: Toy, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a matrixci command in the folder of the toy."""
    return subprocess.run(
        [sys.executable, "-m", "matrixci", *arguments],
        cwd=toy.folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def plan(toy: Toy, *more: str) -> Path:
    """Plan the matrix as a separate machine; return the folder with the plan."""
    folder = toy.folder / "planned"
    folder.mkdir(exist_ok=True)
    words = ["--matrix", str(toy.matrix), "--checks", str(toy.checks), "--work-dir", "planner"]
    done = matrixci(toy, "plan", *words, "--output", str(folder / "plan.json"), *more)
    assert done.returncode == 0, done.stderr
    return folder


def run_cell(toy: Toy, folder: Path, mode: str) -> subprocess.CompletedProcess[str]:
    """Run a cell as a separate machine, which has only the planned folder and the checks."""
    words = ["--plan", str(folder / "plan.json"), "--work-dir", f"machine-{mode}"]
    words += ["--output", f"back/{mode}"]
    return matrixci(toy, "cell", cell_id(mode), *words)


def report(toy: Toy, folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    done = matrixci(
        toy, "report", "back", "--plan", str(folder / "plan.json"), "--work-dir", "merged"
    )
    return done, toy.folder / "merged" / "runs" / "latest"


def facts(result: CellResult) -> dict[str, object]:
    """Return the fields of a result that do not depend on time or machine."""
    data = result.model_dump(
        mode="json",
        include={"cell", "outcome", "reason", "message", "lock", "attestation", "checks"},
    )
    for check in data["checks"]:
        for name in ("began", "ended", "metrics"):
            check.pop(name)
    return data


def outcomes_of_run(judged: JudgedRun) -> list[tuple[object, ...]]:
    return [
        (cell.cell.id, cell.outcome, cell.reason, cell.message, len(cell.checks))
        for cell in judged.cells
    ]
