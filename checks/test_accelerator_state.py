"""Checks that TrainingArguments keeps the state that an `Accelerator` configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.claims import refute
from support.state_scenarios import (
    ATTRIBUTES,
    STATES,
    Scenario,
    assert_state_is_kept,
    changes,
    run,
    snapshots,
)
from support.training_arguments import CONFIGURED, DEFAULT, PATHS, configured

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.reference("huggingface/transformers#40376")]


def test_default_keeps_accelerator_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps a configured AcceleratorState."""
    assert_state_is_kept(Scenario(configured(device), DEFAULT), ["AcceleratorState"], tmp_path)


def test_configured_keeps_accelerator_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a configured AcceleratorState."""
    assert_state_is_kept(Scenario(configured(device), CONFIGURED), ["AcceleratorState"], tmp_path)


def test_configured_keeps_partial_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a configured PartialState."""
    show = "PartialState._shared_state"
    assert_state_is_kept(Scenario(configured(device), CONFIGURED, show), ["PartialState"], tmp_path)


@PATHS
def test_keeps_gradient_state(device: str, arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps a configured GradientState."""
    show = "GradientState._shared_state"
    assert_state_is_kept(Scenario(configured(device), arguments, show), ["GradientState"], tmp_path)


@PATHS
def test_earlier_accelerator_keeps_attributes(device: str, arguments: str, tmp_path: Path) -> None:
    """An Accelerator created before TrainingArguments() keeps its attributes."""
    show = ", ".join(f"accelerator.{name}" for name in ATTRIBUTES)
    scenario = Scenario(configured(device), arguments, show)
    expected = f"the accelerator's {', '.join(ATTRIBUTES)} are unchanged"
    before, after = snapshots(scenario, tmp_path, expected)
    if lost := changes(before.attributes, after.attributes):
        refute(expected=expected, seen="\n  ".join(lost), script=scenario.script)


@PATHS
def test_earlier_accelerator_prepares(device: str, arguments: str, tmp_path: Path) -> None:
    """An Accelerator created before TrainingArguments() prepares a model and an optimizer."""
    prepare = (
        f"{arguments}\n"
        "import torch\n"
        "model = torch.nn.Linear(2, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "model, optimizer = accelerator.prepare(model, optimizer)\n"
        "accelerator.backward(model(torch.ones(1, 2, device=accelerator.device)).sum())\n"
        "optimizer.step()"
    )
    scenario = Scenario(configured(device), prepare, "model")
    snapshots(scenario, tmp_path, "accelerator.prepare() and an optimizer step succeed")


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(CONFIGURED, id="new"),
        pytest.param(
            "TrainingArguments('out', report_to=[], accelerator_config=config)", id="same-config"
        ),
        pytest.param("dataclasses.replace(arguments, output_dir='other')", id="replace"),
    ],
)
def test_second_arguments_keep_state(device: str, second: str, tmp_path: Path) -> None:
    """A second TrainingArguments() with use_configured_state keeps the state."""
    configure = (
        f"{configured(device)}\n"
        "import dataclasses\n"
        "from transformers.trainer_pt_utils import AcceleratorConfig\n"
        "config = AcceleratorConfig(use_configured_state=True)\n"
        "arguments = TrainingArguments('out', report_to=[], accelerator_config=config)"
    )
    assert_state_is_kept(Scenario(configure, second), STATES, tmp_path)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param("copy.copy(arguments)", id="copy"),
        pytest.param("copy.deepcopy(arguments)", id="deepcopy"),
        pytest.param("pickle.loads(pickle.dumps(arguments))", id="pickle"),
    ],
)
def test_copies_keep_state(device: str, copy: str, tmp_path: Path) -> None:
    """Copying TrainingArguments with use_configured_state keeps the state."""
    act = f"import copy, pickle\narguments = {CONFIGURED}\n{copy}"
    assert_state_is_kept(Scenario(configured(device), act), STATES, tmp_path)


@PATHS
@pytest.mark.parametrize(
    "read",
    [
        pytest.param("repr(arguments)", id="repr"),
        pytest.param("arguments.to_dict()", id="to_dict"),
        pytest.param("arguments.to_json_string()", id="to_json_string"),
        pytest.param(
            "(arguments.device, arguments.n_gpu, arguments.world_size, arguments.parallel_mode)",
            id="device",
        ),
    ],
)
def test_reading_arguments_keeps_state(
    device: str, arguments: str, read: str, tmp_path: Path
) -> None:
    """Reading values of TrainingArguments keeps the state."""
    # In both cases, the state as the arguments leave it must survive the read.
    configure = f"arguments = {arguments}\n{configured(device)}"
    if arguments == CONFIGURED:
        configure = f"{configured(device)}\narguments = {arguments}"
    assert_state_is_kept(Scenario(configure, read), STATES, tmp_path)


def test_configured_needs_a_state(tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state raises ValueError without a state."""
    scenario = Scenario("", CONFIGURED)
    observation = run(scenario, tmp_path)
    error = observation.raised
    if error is None or error.type != "ValueError" or "use_configured_state" not in error.message:
        refute(
            expected="a ValueError that names use_configured_state",
            seen=f"the probe {observation.ending}",
            script=scenario.script,
        )


@PATHS
@pytest.mark.reference("huggingface/transformers#29510")
def test_environment_is_not_leaked(device: str, arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() does not change ACCELERATE_* environment variables."""
    show = "{k: v for k, v in __import__('os').environ.items() if k.startswith('ACCELERATE_')}"
    scenario = Scenario(configured(device), arguments, show)
    expected = "no ACCELERATE_* variable is set, changed or removed"
    own = {"ACCELERATE_OF_THE_USER": "1"}
    before, after = snapshots(scenario, tmp_path, expected, own)
    old, new = before.environment, after.environment
    added = [f"{name}: was not set, is {new[name]}" for name in new if name not in old]
    if leaks := [*changes(old, new), *added]:
        refute(expected=expected, seen="\n  ".join(leaks), script=scenario.script)
