"""Tests of cells with the real torch, real releases and the built-in checks."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CELL = "py3.11-numpy2-cpu"
RESET = "test_accelerator_state.py::test_default_keeps_accelerator_state"
CONFIGURED = "test_accelerator_state.py::test_configured_keeps_accelerator_state"


def run_cell(work_dir: Path, *options: str) -> tuple[int, Mapping[str, Any]]:
    """Run the cell; return the exit code and the cell's stored result."""
    command = [
        sys.executable,
        "-m",
        "matrixci",
        "matrix",
        "--work-dir",
        str(work_dir),
        "--cell",
        CELL,
    ]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    stored = list((work_dir / "runs/latest/cells").glob("*.json"))
    assert stored, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert [path.stem for path in stored] == [CELL]
    return done.returncode, json.loads(stored[0].read_text())


def outcomes(cell: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    return {c["id"]: c["outcome"] for c in cell["checks"] if c["id"].startswith(prefix)}


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    status = subprocess.run(
        ["bash", "docker/engine.sh", "status"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if status.returncode == 0:
        return
    message = f"{status.stdout}{status.stderr}".strip()
    if os.environ.get("MATRIXCI_REQUIRE_ENGINE"):
        pytest.fail(message)
    pytest.skip(message)


def not_passed(found: Mapping[str, str]) -> Sequence[str]:
    return [name for name, outcome in found.items() if outcome != "passed"]


def test_newest_release_resets_the_accelerator_state(tmp_path: Path) -> None:
    code, cell = run_cell(tmp_path)

    assert code == 0  # the failures are known issues of the matrix
    found = outcomes(cell)
    assert (found[RESET], found[CONFIGURED]) == ("failed", "passed")
    reset = next(check for check in cell["checks"] if check["id"] == RESET)
    assert "keys changed" in reset["message"]
    assert "missing" not in found.values()
    assert not_passed(outcomes(cell, "test_isolation.py")) == []
    assert cell["attestation"]["python"].startswith("3.11.")
    assert cell["attestation"]["modules"]["numpy"].startswith("2.")
    assert cell["lock"]["versions"]["torch"] in cell["attestation"]["modules"]["torch"]


def test_old_release_ignores_a_setting_and_imports_tensorflow(tmp_path: Path) -> None:
    code, cell = run_cell(
        tmp_path, "--subject", "transformers==4.55.4", "--check", "tensorflow_stays_out"
    )

    check = "test_isolation.py::test_tensorflow_stays_out"
    switched_off = outcomes(cell, f"{check}[USE_TF=0-")
    assert (len(switched_off), not_passed(switched_off)) == (11, [])
    found = outcomes(cell, f"{check}[TRANSFORMERS_NO_TF=1-")
    by_entry = {name.partition("=1-")[2].rstrip("]"): outcome for name, outcome in found.items()}
    # Importing AutoModel is clean; using it imports TensorFlow.
    assert by_entry == {
        "transformers": "passed",
        "transformers.AutoModel": "passed",
        "AutoModel.from_config": "failed",
        "transformers.Trainer": "failed",
        "transformers.pipeline": "failed",
        "transformers.image_transforms": "failed",
        "transformers.loss.loss_utils": "failed",
        "transformers.integrations.integration_utils": "failed",
        "pipeline()": "failed",
        "Trainer.train": "failed",
        "every public module": "failed",
    }
    evidence = [c["message"] for c in cell["checks"] if c["outcome"] == "failed"]
    assert all("image_transforms" in message for message in evidence)
    assert code == 0  # all of these are known issues of the matrix
