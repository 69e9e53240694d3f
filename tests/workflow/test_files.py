"""What holds of each workflow file, whatever it does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from simulated_actions.expressions import inside, names_in
from simulated_actions.workflows import load

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.name: load(path.read_text()) for path in FILES}
PINNED = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")
RIGHTS = ("none", "read", "write")


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, workflow in WORKFLOWS.items():
        for key, job in workflow["jobs"].items():
            yield name, key, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key, job in jobs():
        for step in job.get("steps", []):
            yield f"{name}: {key}: {step['name']}", step


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def readme_example() -> tuple[str, dict[str, Any]]:
    """Return the workflow that the README shows, as text and as data."""
    readme = (ROOT / "README.md").read_text()
    (text,) = re.findall(r"```yaml\n((?:(?!```).)*workflows/matrix\.yml@.*?)```", readme, re.DOTALL)
    return text, load(text)


def test_there_are_workflows() -> None:
    assert {*WORKFLOWS} == {"ci.yml", "cells.yml", "matrix.yml"}


@pytest.mark.parametrize(("where", "step"), list(steps()))
def test_nothing_is_written_into_a_script(where: str, step: dict[str, Any]) -> None:
    """What comes from outside reaches a shell through the environment alone."""
    assert inside(step.get("run", "")) == [], where
    assert not re.search(r"\$\{\{", step.get("run", "")), where


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits(path: Path) -> None:
    lines = [line.strip(" -") for line in path.read_text().splitlines()]
    for line in lines:
        if line.startswith("uses: ") and not line.startswith("uses: $/"):
            assert PINNED.fullmatch(line), line


def test_an_action_has_one_commit() -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for path in FILES:
        for action, commit, version in PINNED.findall(path.read_text()):
            found.setdefault(action, set()).add((commit, version))
    assert all(len(commits) == 1 for commits in found.values()), found


@pytest.mark.parametrize(("where", "step"), list(steps()))
def test_no_checkout_leaves_credentials(where: str, step: dict[str, Any]) -> None:
    if step.get("uses", "").startswith("actions/checkout@"):
        assert step["with"]["persist-credentials"] is False, where


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_permissions_are_given_job_by_job(name: str) -> None:
    workflow = WORKFLOWS[name]
    if {*workflow["on"]} == {"workflow_call"}:
        assert "permissions" not in workflow  # the caller's hold
        return
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    assert all("permissions" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize(("name", "key", "job"), list(jobs()))
def test_a_job_has_an_end(name: str, key: str, job: dict[str, Any]) -> None:
    if "steps" in job:
        assert 0 < job["timeout-minutes"] < 360, (name, key)
    if "strategy" in job:
        assert job["strategy"]["fail-fast"] is False, (name, key)
        assert "max-parallel" in job["strategy"], (name, key)


def test_images_are_pushed_only_where_it_is_asked_for() -> None:
    writing = [
        (name, key, job)
        for name, key, job in jobs()
        if job.get("permissions", {}).get("packages") == "write"
    ]
    ((_, _, job),) = writing
    assert "vars.MATRIXCI_REGISTRY != ''" in job["if"]


def test_the_example_of_the_readme_calls_what_is_there() -> None:
    text, example = readme_example()
    assert len(text.splitlines()) <= 10
    (job,) = example["jobs"].values()
    assert re.search(r"/\.github/workflows/matrix\.yml@", job["uses"])
    called = WORKFLOWS["matrix.yml"]
    assert {*job["with"]} <= {*called["on"]["workflow_call"]["inputs"]}
    # GitHub looks at what all jobs of a called workflow ask for, before any `if`.
    granted = example.get("permissions") or job["permissions"]
    for one in called["jobs"].values():
        for scope, right in one["permissions"].items():
            assert RIGHTS.index(granted.get(scope, "none")) >= RIGHTS.index(right), scope
    asked = {scope for one in called["jobs"].values() for scope in one["permissions"]}
    assert {*granted} == asked


def test_the_readme_names_the_variables() -> None:
    used = {
        found
        for workflow in WORKFLOWS.values()
        for text in texts(workflow)
        for found in re.findall(r"vars\.(\w+)", text)
    }
    readme = (ROOT / "README.md").read_text()
    told = {*re.findall(r"^\| `(MATRIXCI_\w+)` \|", readme, re.MULTILINE)}
    assert told == used


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_expressions_are_of_the_forms_that_are_simulated(name: str) -> None:
    known = {
        *("github", "inputs", "vars", "needs", "matrix", "steps", "job", "runner"),
        *("always", "cancelled", "startsWith", "toJSON", "fromJSON", "true", "false"),
    }
    for text in texts(WORKFLOWS[name]):
        for source in inside(text):
            assert names_in(source) <= known, source


def test_the_files_say_what_yaml_reads() -> None:
    for path in FILES:
        assert yaml.safe_load(path.read_text())["name"], path.name
