"""The scripts of the workflows, with any inputs."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from simulated_actions.workflows import load

ROOT = Path(__file__).parents[2]
HOSTILE = "$(touch pwned) `touch pwned` '\"; touch pwned #"
EMPTY = dict.fromkeys(
    ("SUBJECT", "MATRIX", "CHECKS", "AS_OF", "SELECTION", "TIER", "REGISTRY", "BUILD_CACHE"), ""
)


def run_script(script: str, environment: Mapping[str, str], folder: Path) -> str:
    """Run a step's script as GitHub's runner does, and return its output."""
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(
        argv, env=environment, cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def arguments_of(
    tmp_path: Path, file: str, job: str, step: str, inputs: Mapping[str, str]
) -> list[str]:
    """Run a step's script with these inputs, and return the arguments of nox."""
    steps = load((ROOT / ".github" / "workflows" / file).read_text())["jobs"][job]["steps"]
    (script,) = (one["run"] for one in steps if one["name"] == step)
    nox, answer = tmp_path / "bin" / "nox", tmp_path / "asked.json"
    nox.parent.mkdir()
    nox.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"with open({str(answer)!r}, 'w') as file:\n    json.dump(sys.argv[1:], file)\n"
    )
    nox.chmod(nox.stat().st_mode | stat.S_IXUSR)
    environment = {
        "PATH": f"{nox.parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_WORKSPACE": "/w",
        "RUNNER_TEMP": str(tmp_path),
        "FILES": "caller",
        **EMPTY,
        **inputs,
    }
    run_script(script, environment, tmp_path)
    assert not (tmp_path / "pwned").exists()
    words: list[str] = json.loads(answer.read_text())
    return words


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, []),
        ({"SUBJECT": "transformers==5.23.0"}, ["--subject=transformers==5.23.0"]),
        ({"SUBJECT": "."}, ["--subject=/w/caller/."]),
        ({"SUBJECT": "./dist/a b.whl"}, ["--subject=/w/caller/./dist/a b.whl"]),
        (
            {"SUBJECT": "git+https://example.org/a/b"},
            ["--subject=git+https://example.org/a/b"],
        ),
        ({"SUBJECT": HOSTILE}, [f"--subject={HOSTILE}"]),
        ({"MATRIX": "ci/m.yaml", "CHECKS": HOSTILE},
         ["--matrix=/w/caller/ci/m.yaml", f"--checks=/w/caller/{HOSTILE}"]),
        ({"AS_OF": "2026-01-31", "TIER": HOSTILE}, ["--as-of=2026-01-31", f"--tier={HOSTILE}"]),
        ({"SELECTION": " py3.* *-cpu "}, ["--cell=py3.*", "--cell=*-cpu"]),
        ({"SELECTION": "$(id) --tier=x /*"}, ["--cell=$(id)", "--cell=--tier=x", "--cell=/*"]),
    ],
)  # fmt: skip
def test_plan_step_passes_its_inputs(
    tmp_path: Path, inputs: dict[str, str], words: list[str]
) -> None:
    found = arguments_of(tmp_path, "matrix.yml", "plan", "Resolve all cells", inputs)
    assert found == ["-s", "plan", "--", "--output", f"{tmp_path}/plan/plan.json", *words]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, []),
        ({"CHECKS": HOSTILE}, [f"--checks=/w/caller/{HOSTILE}"]),
        (
            {"REGISTRY": "ghcr.io/a/b", "BUILD_CACHE": "type=gha"},
            ["--registry=ghcr.io/a/b", "--build-cache=type=gha"],
        ),
    ],
)
def test_cell_step_passes_its_inputs(
    tmp_path: Path, inputs: dict[str, str], words: list[str]
) -> None:
    given = {"CELL": "py3.12-cpu", **inputs}
    found = arguments_of(tmp_path, "cells.yml", "cell", "Run the cell", given)
    plan = ["--plan", f"{tmp_path}/plan/plan.json", "--output", f"{tmp_path}/result"]
    assert found == ["-s", "cell", "--", "py3.12-cpu", *plan, "--no-keep-wheels", *words]


def fetch_history(tmp_path: Path, listed: str, artifacts: Mapping[str, bytes | None]) -> str:
    """Run the step that fetches the history, against a gh that has these; return its output."""
    steps = load((ROOT / ".github" / "workflows" / "matrix.yml").read_text())["jobs"]["report"]
    (script,) = (one["run"] for one in steps["steps"] if one["name"] == "Fetch the history")
    for number, content in artifacts.items():
        (tmp_path / "kept" / number).mkdir(parents=True)
        if content is not None:
            (tmp_path / "kept" / number / "history.sqlite").write_bytes(content)
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        "#!/bin/sh\n"
        f'[ "$2" = download ] || {{ {listed}; exit; }}\n'
        f'cp -r \'{tmp_path}/kept/\'"$3" "$7"\n'
    )
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    environment = {
        "PATH": f"{gh.parent}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "WORKFLOW": "a/b/.github/workflows/nightly.yml@refs/heads/main",
    }
    return run_script(script, environment, tmp_path)


def test_history_of_the_newest_run_is_used(tmp_path: Path) -> None:
    output = fetch_history(tmp_path, "printf '9\\n8\\n7\\n'", {"8": b"of 8", "7": b"of 7"})
    assert "history of run 8" in output
    assert (tmp_path / "home" / "history.sqlite").read_bytes() == b"of 8"


@pytest.mark.parametrize(
    ("listed", "artifacts"),
    [
        ("true", {}),  # the first run
        ("printf '9\\n8\\n'", {}),  # retention has expired
        ("printf '9\\n'", {"9": None}),  # an artifact without the file
        ("exit 1", {}),  # GitHub refuses, or does not answer
    ],
)
def test_missing_history_is_not_an_error(
    tmp_path: Path, listed: str, artifacts: dict[str, bytes | None]
) -> None:
    output = fetch_history(tmp_path, listed, artifacts)
    assert output == (
        "::notice title=no history::No earlier scheduled run has a history. Starting a new one.\n"
    )
    assert not (tmp_path / "home").exists()
