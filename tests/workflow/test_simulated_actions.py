"""The simulation does as GitHub does, where a test rests on it."""

from pathlib import Path
from typing import Any

import pytest
from simulated_actions.artifacts import ActionError, Artifacts
from simulated_actions.expressions import ExpressionError, evaluate, interpolate
from simulated_actions.steps import is_due
from simulated_actions.workflows import combinations

CONTEXTS: dict[str, Any] = {
    "inputs": {"tier": "", "name": "Nightly", "number": 3, "cells": '[{"cell": "a"}]'},
    "needs": {"plan": {"outputs": {"cells": "4"}}},
    "success()": lambda: True,
    "always()": lambda: True,
    "cancelled()": lambda: False,
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("inputs.name", "Nightly"),
        ("inputs.absent", None),
        ("inputs.absent.deeper", None),
        ("inputs.name == 'nightly'", True),
        ("inputs.absent == ''", True),
        ("inputs.tier == null", True),
        ("inputs.number == '3'", True),
        ("inputs.tier || 'all'", "all"),
        ("inputs.tier || (inputs.number == 3 && 'three') || ''", "three"),
        ("inputs.tier || (inputs.number == 4 && 'four') || ''", ""),
        ("needs.plan.outputs.cells != '0' && inputs.tier == ''", True),
        ("!cancelled() && startsWith(inputs.name, 'night')", True),
        ("!(inputs.tier == '') || 'it''s'", "it's"),
        ("fromJSON(inputs.cells)", [{"cell": "a"}]),
        ("fromJSON(inputs.tier || '20')", 20),
    ],
)
def test_expression_is_evaluated(source: str, value: object) -> None:
    assert evaluate(source, CONTEXTS) == value


@pytest.mark.parametrize("source", ["secrets.A", "a[0]", "inputs.*.a", "hashFiles('x')", "1 +", ""])
def test_unknown_name_is_an_error(source: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(source, CONTEXTS)


def test_text_around_expressions_stays() -> None:
    text = "a ${{ inputs.name }} ${{ inputs.absent }}b ${{ inputs.number }}"
    assert interpolate(text, CONTEXTS) == "a Nightly b 3"
    assert interpolate("${{ inputs.number }}", CONTEXTS) == 3


def test_a_condition_without_a_status_asks_for_success() -> None:
    failed = {**CONTEXTS, "success()": lambda: False}
    assert is_due(None, CONTEXTS)
    assert not is_due(None, failed)
    assert not is_due("inputs.tier == ''", failed)
    assert is_due("always() && inputs.tier == ''", failed)


def test_a_matrix_has_its_limits() -> None:
    def strategy(count: int) -> dict[str, Any]:
        cells = [{"cell": str(number)} for number in range(count)]
        return {"fail-fast": False, "matrix": {"include": cells}}

    assert len(combinations(strategy(256), {})) == 256
    with pytest.raises(AssertionError, match="257 jobs"):
        combinations(strategy(257), {})
    with pytest.raises(AssertionError, match="must have a value"):
        combinations(strategy(0), {})
    assert combinations({}, {}) == [{}]


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    (tmp_path / "made" / ".hidden").mkdir(parents=True)
    (tmp_path / "made" / "file").write_text("text")
    return Artifacts(tmp_path / "artifacts")


def test_artifacts_are_uploaded_and_downloaded(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.upload({"name": "cell-a", "path": "made"}, tmp_path)
    artifacts.download({"pattern": "cell-*", "path": "one"}, {}, tmp_path)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["file"]
    artifacts.upload({"name": "cell-b", "path": "made"}, tmp_path)
    artifacts.download({"pattern": "cell-*", "path": "two"}, {}, tmp_path)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["cell-a", "cell-b"]
    artifacts.download({"pattern": "none-*", "path": "none"}, {}, tmp_path)
    assert not any((tmp_path / "none").iterdir())
    artifacts.upload({"path": "made/file", "archive": "false"}, tmp_path)
    assert artifacts.names() == ["cell-a", "cell-b", "file"]


def test_artifacts_are_refused_as_github_does(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.upload({"name": "a", "path": "made"}, tmp_path)
    with pytest.raises(ActionError, match="already exists"):
        artifacts.upload({"name": "a", "path": "made"}, tmp_path)
    artifacts.upload({"name": "a", "path": "made", "overwrite": "true"}, tmp_path)
    with pytest.raises(ActionError, match="not valid"):
        artifacts.upload({"name": "a/b", "path": "made"}, tmp_path)
    with pytest.raises(ActionError, match="not found"):
        artifacts.download({"name": "b", "path": "b"}, {}, tmp_path)
    with pytest.raises(ActionError, match="No files"):
        artifacts.upload({"name": "c", "path": "c", "if-no-files-found": "error"}, tmp_path)
    artifacts.upload({"name": "c", "path": "c"}, tmp_path)
    assert artifacts.names() == ["a"]


def test_artifacts_beyond_a_thousand_need_a_setting(artifacts: Artifacts, tmp_path: Path) -> None:
    for number in range(1001):
        (artifacts.folder / f"cell-{number}").mkdir()
    artifacts.download({"pattern": "cell-*", "path": "cut"}, {}, tmp_path)
    assert len([*(tmp_path / "cut").iterdir()]) == 1000
    setting = {"ACTIONS_ARTIFACT_MAX_ARTIFACT_COUNT": "20000"}
    artifacts.download({"pattern": "cell-*", "path": "whole"}, setting, tmp_path)
    assert len([*(tmp_path / "whole").iterdir()]) == 1001
