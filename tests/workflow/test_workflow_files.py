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
GUIDE = ROOT / "docs" / "how-to" / "github-actions.md"
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


def documented_example() -> tuple[str, dict[str, Any]]:
    """Return the workflow that the documentation shows, as text and as data."""
    page = GUIDE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n((?:(?!```).)*workflows/matrix\.yml@.*?)```", page, re.DOTALL)
    return text, load(text)


def test_there_are_workflows() -> None:
    assert {*WORKFLOWS} == {
        *("ci.yml", "nightly.yml"),
        *("cells.yml", "matrix.yml", "publish-pages.yml", "regression-issue.yml"),
    }


@pytest.mark.parametrize(("where", "step"), list(steps()))
def test_no_expression_is_expanded_in_a_script(where: str, step: dict[str, Any]) -> None:
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
        assert not workflow.get("permissions")  # the caller's hold, or each job's own
        return
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    assert all("permissions" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize(("name", "key", "job"), list(jobs()))
def test_every_job_has_a_timeout(name: str, key: str, job: dict[str, Any]) -> None:
    if "steps" in job:
        assert 0 < job["timeout-minutes"] < 360, (name, key)
    if "strategy" in job:
        assert job["strategy"]["fail-fast"] is False, (name, key)
        assert "max-parallel" in job["strategy"], (name, key)


def test_images_are_pushed_only_on_request() -> None:
    writing = [
        (name, key, job)
        for name, key, job in jobs()
        if job.get("permissions", {}).get("packages") == "write"
    ]
    ((_, _, job),) = writing
    assert "vars.MATRIXCI_REGISTRY != ''" in job["if"]


def asked_for(workflow: dict[str, Any]) -> dict[str, str]:
    """Return the most that a job of a workflow asks for, scope by scope."""
    most: dict[str, str] = {}
    for job in workflow["jobs"].values():
        for scope, right in job.get("permissions", {}).items():
            most[scope] = max(right, most.get(scope, "none"), key=RIGHTS.index)
    return most


def test_the_documented_example_matches_the_workflows() -> None:
    """A caller grants exactly what GitHub looks for: what all jobs ask for, before any `if`."""
    text, example = documented_example()
    assert len(text.splitlines()) <= 30
    called = set()
    for job in example["jobs"].values():
        (name,) = re.findall(r"/\.github/workflows/([\w-]+\.yml)@", job["uses"])
        called.add(name)
        inputs = (WORKFLOWS[name]["on"]["workflow_call"] or {}).get("inputs", {})
        assert {*job.get("with", {})} <= {*inputs}
        assert job["permissions"] == asked_for(WORKFLOWS[name]), name
    assert called == {"matrix.yml", "regression-issue.yml", "publish-pages.yml"}


def test_the_matrix_alone_needs_no_right_to_write() -> None:
    assert asked_for(WORKFLOWS["matrix.yml"]) == {"contents": "read", "actions": "read"}
    assert asked_for(WORKFLOWS["cells.yml"]) == {}


@pytest.mark.parametrize(("name", "key", "job"), list(jobs()))
def test_a_caller_grants_no_less_and_no_more_than_is_asked_for(
    name: str, key: str, job: dict[str, Any]
) -> None:
    uses = job.get("uses", "")
    if "permissions" in job and uses.startswith("$/"):
        granted = dict(job["permissions"])
        if "vars.MATRIXCI_REGISTRY != ''" in job.get("if", ""):
            assert granted.pop("packages") == "write"
        assert granted == asked_for(WORKFLOWS[uses.rpartition("/")[2]]), (name, key)


def test_the_documentation_names_the_variables() -> None:
    used = {
        found
        for workflow in WORKFLOWS.values()
        for text in texts(workflow)
        for found in re.findall(r"vars\.(\w+)", text)
    }
    page = GUIDE.read_text(encoding="utf-8")
    documented = {*re.findall(r"^\| `(MATRIXCI_\w+)` \|", page, re.MULTILINE)}
    assert documented == used


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_expressions_are_of_the_forms_that_are_simulated(name: str) -> None:
    known = {
        *("github", "inputs", "vars", "needs", "matrix", "steps", "job", "jobs", "runner"),
        *("always", "cancelled", "startsWith", "toJSON", "fromJSON", "true", "false"),
    }
    for text in texts(WORKFLOWS[name]):
        for source in inside(text):
            assert names_in(source) <= known, source


def test_the_files_say_what_yaml_reads() -> None:
    for path in FILES:
        assert yaml.safe_load(path.read_text())["name"], path.name
