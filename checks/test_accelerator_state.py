"""The accelerator's state: what an `Accelerator` configured stays as it was.

The three singletons of `accelerate.state` are observed by copying their shared dicts. Their
identity says nothing (a reset clears them in place), and `AcceleratorState()` must not be called to
look: after a reset the second call returns a half-built state that looks like a plain one.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from claims import imported, refute, reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from probe import Observation

REFERENCE = "huggingface/transformers#40376"
pytestmark = [pytest.mark.reference(REFERENCE)]

IMPORTS = "from accelerate import Accelerator\nfrom transformers import Trainer, TrainingArguments\n"
DEFAULT = "TrainingArguments('out', report_to=[])"
CONFIGURED = (
    "TrainingArguments('out', report_to=[], accelerator_config={'use_configured_state': True})"
)
PATHS = pytest.mark.parametrize(
    "arguments",
    [pytest.param(DEFAULT, id="default"), pytest.param(CONFIGURED, id="use_configured_state")],
)
STATES = ("PartialState", "AcceleratorState", "GradientState")
ANSWERS = ("distributed_type", "device", "num_processes", "mixed_precision")

OBSERVER = f"""\
import enum, os
import accelerate.state, torch

def plain(value):
    if value is None or isinstance(value, (str, int, float, enum.Enum, torch.device)):
        return str(value)
    if isinstance(value, (dict, list, tuple)):
        return repr(value)
    return f"{{type(value).__name__}} at {{id(value):#x}}"

def states():
    return {{
        name: {{
            key: plain(value)
            for key, value in dict(getattr(accelerate.state, name)._shared_state).items()
        }}
        for name in {STATES!r}
    }}

def answer(accelerator, name):
    try:
        return plain(getattr(accelerator, name))
    except Exception as error:
        return f"raises {{type(error).__name__}}: {{error}}"

def observed(accelerator=None):
    return {{
        "states": states(),
        "answers": {{name: answer(accelerator, name) for name in {ANSWERS!r}}} if accelerator else {{}},
        "environment": {{k: v for k, v in os.environ.items() if k.startswith("ACCELERATE_")}},
    }}
"""


@dataclass(frozen=True)
class Look:
    """What was seen at one moment."""

    states: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Story:
    """What a user's script does: what was configured, and what was done after it."""

    configure: str
    act: str
    show: str = "AcceleratorState._shared_state"

    @property
    def script(self) -> str:
        """The smallest script that shows what the claim is about."""
        shown = f"from accelerate.state import *\nprint({self.show})"
        return f"{IMPORTS}{self.configure}\n{self.act}\n{shown}"

    @property
    def source(self) -> str:
        """The same between two looks."""
        look = "observed(globals().get('accelerator'))"
        act = f"before = {look}\n{self.act}\nreport([before, {look}])"
        return f"{OBSERVER}{IMPORTS}{self.configure}\n{act}"


def run(
    story: Story, folder: Path, environment: Mapping[str, str | None] | None = None
) -> Observation:
    """Live the story in a fork of the interpreter that has the stack imported."""
    entries = ("accelerate", "transformers.Trainer", "transformers.TrainingArguments")
    interpreter = imported(*entries)
    return interpreter.run(story.source, folder=folder, environment=environment)


def looks(
    story: Story,
    folder: Path,
    expected: str,
    environment: Mapping[str, str | None] | None = None,
) -> tuple[Look, Look]:
    """Return what was seen before and after; the claim fails where the script didn't end well."""
    observation = reported(
        run(story, folder, environment),
        expected=expected,
        script=story.script,
    )
    before, after = (Look(**look) for look in observation.value)
    return before, after


def changes(
    before: Mapping[str, str], after: Mapping[str, str], keys: Sequence[str] = ()
) -> list[str]:
    """Return what a state lost or has otherwise, key by key; what came in addition is no loss."""
    lines: list[str] = []
    for key in keys or before:
        if key not in after:
            lines.append(f"{key}: was {before.get(key)}, is gone")
        elif before.get(key) != after[key]:
            lines.append(f"{key}: was {before.get(key)}, is {after[key]}")
    return lines


def holds_state(
    story: Story, name: str, folder: Path, environment: Mapping[str, str | None] | None = None
) -> None:
    """Assert that a state is after the story what it was before."""
    expected = f"{name} is as it was configured"
    before, after = looks(story, folder, expected, environment)
    if not before.states[name]:
        refute(expected=f"{name} is configured", seen="it is empty", script=story.script)
    if lost := changes(before.states[name], after.states[name]):
        count = f"{len(lost)} of {len(before.states[name])} keys changed\n  "
        refute(expected=expected, seen=count + "\n  ".join(lost), script=story.script)


def accelerator(device: str, **kwargs: Any) -> str:
    """Return the statement that makes an accelerator for the cell's device."""
    given = {**({"cpu": True} if device == "cpu" else {}), **kwargs}
    return f"accelerator = Accelerator({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def configured(device: str) -> str:
    """Return the statement that configures what is easily told from the defaults."""
    return accelerator(device, mixed_precision="bf16", gradient_accumulation_steps=4)


def test_default_keeps_accelerator_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps a configured AcceleratorState."""
    holds_state(Story(configured(device), DEFAULT), "AcceleratorState", tmp_path)


def test_configured_keeps_accelerator_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a configured AcceleratorState."""
    holds_state(Story(configured(device), CONFIGURED), "AcceleratorState", tmp_path)


def test_configured_keeps_partial_state(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps the PartialState."""
    show = "PartialState._shared_state"
    holds_state(Story(configured(device), CONFIGURED, show), "PartialState", tmp_path)


@PATHS
def test_keeps_gradient_state(device: str, arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps the GradientState."""
    show = "GradientState._shared_state"
    holds_state(Story(configured(device), arguments, show), "GradientState", tmp_path)


@PATHS
def test_earlier_accelerator_answers(device: str, arguments: str, tmp_path: Path) -> None:
    """An Accelerator made before TrainingArguments() still answers as it did."""
    show = ", ".join(f"accelerator.{name}" for name in ANSWERS)
    story = Story(configured(device), arguments, show)
    expected = f"the accelerator's {', '.join(ANSWERS)} are as before"
    before, after = looks(story, tmp_path, expected)
    if lost := changes(before.answers, after.answers):
        refute(expected=expected, seen="\n  ".join(lost), script=story.script)


@PATHS
def test_earlier_accelerator_prepares(device: str, arguments: str, tmp_path: Path) -> None:
    """An Accelerator made before TrainingArguments() still prepares a model and an optimizer."""
    prepare = (
        f"{arguments}\n"
        "import torch\n"
        "model = torch.nn.Linear(2, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "model, optimizer = accelerator.prepare(model, optimizer)\n"
        "accelerator.backward(model(torch.ones(1, 2, device=accelerator.device)).sum())\n"
        "optimizer.step()"
    )
    story = Story(configured(device), prepare, "model")
    looks(story, tmp_path, "accelerator.prepare() and a step work")


def test_second_arguments_keep_state(device: str, tmp_path: Path) -> None:
    """A second TrainingArguments() with use_configured_state keeps the AcceleratorState too."""
    story = Story(configured(device), f"{CONFIGURED}\n{CONFIGURED}")
    holds_state(story, "AcceleratorState", tmp_path)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param("copy.deepcopy(arguments)", id="deepcopy"),
        pytest.param("pickle.loads(pickle.dumps(arguments))", id="pickle"),
    ],
)
def test_copies_keep_state(device: str, copy: str, tmp_path: Path) -> None:
    """Copying TrainingArguments with use_configured_state keeps the AcceleratorState."""
    act = f"import copy, pickle\narguments = {CONFIGURED}\n{copy}"
    holds_state(Story(configured(device), act), "AcceleratorState", tmp_path)


def test_trainer_keeps_mixed_precision(device: str, tmp_path: Path) -> None:
    """A Trainer built with use_configured_state and bf16 keeps the mixed precision."""
    # Without use_cpu a machine without a GPU refuses bf16: its limit, and no defect.
    precision = "bf16=True" + (", use_cpu=True" if device == "cpu" else "")
    act = (
        f"arguments = {CONFIGURED.removesuffix(')')}, {precision})\n"
        "import torch\n"
        "Trainer(model=torch.nn.Linear(2, 1), args=arguments)"
    )
    story = Story(configured(device), act, "accelerator.mixed_precision")
    expected = "mixed_precision stays bf16"
    before, after = looks(story, tmp_path, expected)
    kept = ("_mixed_precision", "distributed_type", "device", "num_processes")
    lost = changes(before.states["AcceleratorState"], after.states["AcceleratorState"], kept)
    lost += changes(before.answers, after.answers)
    if before.answers["mixed_precision"] != "bf16":
        refute(expected="Accelerator(mixed_precision='bf16') is bf16", seen=str(before.answers))
    if lost:
        refute(expected=expected, seen="\n  ".join(lost), script=story.script)


def test_configured_needs_a_state(tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state and no state before raises ValueError."""
    story = Story("", CONFIGURED)
    observation = run(story, tmp_path)
    error = observation.raised
    if error is None or error.type != "ValueError" or "use_configured_state" not in error.message:
        refute(
            expected="ValueError that names use_configured_state",
            seen=f"the probe {observation.ending}",
            script=story.script,
        )


@PATHS
def test_environment_is_not_leaked(device: str, arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() leaves the ACCELERATE_* environment as it was."""
    show = "{k: v for k, v in __import__('os').environ.items() if k.startswith('ACCELERATE_')}"
    story = Story(configured(device), arguments, show)
    expected = "no ACCELERATE_* variable is set, changed or removed"
    before, after = looks(story, tmp_path, expected)
    old, new = before.environment, after.environment
    came = [f"{name}: was not set, is {new[name]}" for name in new if name not in old]
    if leaks := [*changes(old, new), *came]:
        refute(expected=expected, seen="\n  ".join(leaks), script=story.script)


def one_of_many() -> dict[str, str | None]:
    """Return the environment of the only process of a distributed job on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    return {**one, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}


DISTRIBUTED = accelerator("cpu")


def test_distributed_state_is_kept(tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a distributed PartialState."""
    story = Story(DISTRIBUTED, CONFIGURED, "PartialState._shared_state")
    expected = "PartialState stays that of the distributed job"
    before, after = looks(story, tmp_path, expected, one_of_many())
    if "MULTI_CPU" not in before.states["PartialState"].get("distributed_type", ""):
        refute(
            expected="Accelerator(cpu=True) with LOCAL_RANK set is MULTI_CPU",
            seen=str(before.states["PartialState"]),
        )
    if lost := changes(before.states["PartialState"], after.states["PartialState"]):
        refute(expected=expected, seen="\n  ".join(lost), script=story.script)
