"""Checks that a Trainer uses the precision and accumulation that an `Accelerator` configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.claims import refute, reported
from support.state_scenarios import IMPORTS, Scenario, changes, run, snapshots, trainers
from support.training_arguments import (
    CONFIGURED,
    DEFAULT,
    PATHS,
    accelerator,
    configured,
    with_more,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.reference("huggingface/transformers#40376")]


LEARNER = """\
import torch

class Learner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x, labels=None):
        y = self.layer(x)
        COMPUTED.append(str(y.dtype))
        return {"loss": (y.squeeze(-1) - labels).pow(2).mean(), "logits": y}

COMPUTED = []
DATA = [{"x": torch.ones(2), "labels": torch.tensor(1.0)}] * 8
STEPS = {"max_steps": 2, "save_strategy": "no", "disable_tqdm": True}
"""


def test_training_keeps_mixed_precision(device: str, tmp_path: Path) -> None:
    """A Trainer with use_configured_state and bf16 trains, evaluates and keeps the state."""
    # Without a GPU, bf16 is refused unless use_cpu is set. That is no defect.
    precision = "bf16=True" + (", use_cpu=True" if device == "cpu" else "")
    act = (
        f"arguments = {with_more(CONFIGURED, f'{precision}, **STEPS')}\n"
        "trainer = Trainer(model=Learner(), args=arguments, train_dataset=DATA)\n"
        "trainer.train()\n"
        "trainer.evaluate(DATA)\n"
        "trainer.predict(DATA)"
    )
    scenario = Scenario(f"{LEARNER}{configured(device)}", act, "accelerator.mixed_precision")
    expected = "mixed_precision stays bf16, and the state is unchanged"
    before, after = snapshots(scenario, tmp_path, expected)
    if before.attributes["mixed_precision"] != "bf16":
        refute(expected="Accelerator(mixed_precision='bf16') is bf16", seen=str(before.attributes))
    lost = changes(before.attributes, after.attributes)
    for name in ("AcceleratorState", "PartialState"):
        lost += changes(before.states[name], after.states[name])
    if lost:
        refute(expected=expected, seen="\n  ".join(lost), script=scenario.script)


def test_training_computes_in_mixed_precision(device: str, tmp_path: Path) -> None:
    """A Trainer with bf16 computes in bfloat16."""
    precision = "bf16=True" + (", use_cpu=True" if device == "cpu" else "")
    train = (
        f"arguments = {with_more(DEFAULT, f'{precision}, **STEPS')}\n"
        "Trainer(model=Learner(), args=arguments, train_dataset=DATA).train()"
    )
    source = f"{IMPORTS}{LEARNER}{train}\nreport(COMPUTED)"
    expected = "the layers return torch.bfloat16 in each step"
    script = source.replace("report(", "print(")
    observation = trainers().run(source, folder=tmp_path)
    computed = reported(observation, expected=expected, script=script).value
    if set(computed) != {"torch.bfloat16"}:
        refute(expected=expected, seen=", ".join(computed) or "no step", script=script)


STEPPED = """\
from torch.optim.optimizer import register_optimizer_step_post_hook
after = []
register_optimizer_step_post_hook(lambda *_: after.append(len(COMPUTED)))
"""


@PATHS
def test_training_accumulates(device: str, arguments: str, tmp_path: Path) -> None:
    """A Trainer accumulates gradients over the number of batches that its arguments set."""
    more = "gradient_accumulation_steps=2, per_device_train_batch_size=1, **STEPS"
    train = (
        f"{accelerator(device)}\n"
        f"arguments = {with_more(arguments, more)}\n"
        "Trainer(model=Learner(), args=arguments, train_dataset=DATA).train()"
    )
    source = f"{IMPORTS}{LEARNER}{STEPPED}{train}\nreport(after)"
    expected = "with gradient_accumulation_steps=2, steps after batches 2 and 4"
    script = source.replace("report(", "print(")
    observation = trainers().run(source, folder=tmp_path)
    steps = reported(observation, expected=expected, script=script).value
    if steps != [2, 4]:
        seen = f"steps after batches {', '.join(map(str, steps)) or 'none'}"
        refute(expected=expected, seen=seen, script=script)


@PATHS
def test_accumulation_is_not_lost_silently(device: str, arguments: str, tmp_path: Path) -> None:
    """A Trainer keeps a configured gradient accumulation, or raises ValueError."""
    precision = "bf16=True" + (", use_cpu=True" if device == "cpu" else "")
    act = (
        f"arguments = {with_more(arguments, precision)}\n"
        "import torch\n"
        "Trainer(model=torch.nn.Linear(2, 1), args=arguments)"
    )
    scenario = Scenario(configured(device), act, "GradientState._shared_state")
    observation = run(scenario, tmp_path)
    if observation.raised is not None and observation.raised.type == "ValueError":
        return
    expected = "gradient accumulation over 4 steps is kept, or ValueError is raised"
    before, after = snapshots(scenario, tmp_path, expected)
    lost = changes(before.states["GradientState"], after.states["GradientState"], ["plugin_kwargs"])
    if lost:
        refute(expected=expected, seen="\n  ".join(lost), script=scenario.script)


@PATHS
def test_mixed_precision_is_not_lost_silently(device: str, arguments: str, tmp_path: Path) -> None:
    """A Trainer keeps a configured mixed precision, or raises ValueError."""
    act = (
        f"arguments = {arguments}\n"
        "import torch\n"
        "Trainer(model=torch.nn.Linear(2, 1), args=arguments)"
    )
    scenario = Scenario(configured(device), act, "accelerator.mixed_precision")
    observation = run(scenario, tmp_path)
    if observation.raised is not None and observation.raised.type == "ValueError":
        return
    _before, after = snapshots(
        scenario, tmp_path, "mixed_precision stays bf16, or ValueError is raised"
    )
    if after.attributes["mixed_precision"] != "bf16":
        refute(
            expected="mixed_precision stays bf16, or ValueError is raised",
            seen=f"mixed_precision is {after.attributes['mixed_precision']}, without any error",
            script=scenario.script,
        )
