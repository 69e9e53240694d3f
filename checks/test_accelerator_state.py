"""Checks that TrainingArguments and Trainer keep the state that an `Accelerator` configured."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.claims import imported, refute, reported
from support.state_scenarios import (
    ATTRIBUTES,
    IMPORTS,
    STATES,
    Scenario,
    assert_state_is_kept,
    changes,
    run,
    snapshots,
    trainers,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.reference("huggingface/transformers#40376")]

DEFAULT = "TrainingArguments('out', report_to=[])"
CONFIGURED = (
    "TrainingArguments('out', report_to=[], accelerator_config={'use_configured_state': True})"
)
PATHS = pytest.mark.parametrize(
    "arguments",
    [pytest.param(DEFAULT, id="default"), pytest.param(CONFIGURED, id="use_configured_state")],
)


def accelerator(device: str, **kwargs: object) -> str:
    """Return a statement that creates an accelerator for the cell's device."""
    given: dict[str, object] = {**({"cpu": True} if device == "cpu" else {}), **kwargs}
    return f"accelerator = Accelerator({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def configured(device: str) -> str:
    """Return a statement that configures an accelerator with values that are no defaults."""
    return accelerator(device, mixed_precision="bf16", gradient_accumulation_steps=4)


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


def with_more(arguments: str, more: str) -> str:
    """Return the statement that creates the arguments, with additional ones."""
    return f"{arguments.removesuffix(')')}, {more})"


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


# Distributed jobs, over the loopback interface

FORMS = pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(DEFAULT, id="default"),
        pytest.param(with_more(DEFAULT, "use_cpu=True"), id="use_cpu"),
        pytest.param(CONFIGURED, id="use_configured_state"),
    ],
)
HAS_GPU = "import torch\nreport(torch.cuda.is_available())"
PLACE = ("distributed_type", "num_processes", "process_index", "local_process_index", "backend")


def job(processes: int) -> dict[str, str | None]:
    """Return the environment of the first process of a distributed job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    size = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    place = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {**size, **place, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": None}


@pytest.mark.needs("distributed")
def test_distributed_state_is_kept(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a distributed PartialState."""
    scenario = Scenario(accelerator(device), CONFIGURED, "PartialState._shared_state")
    expected = "the PartialState of the distributed job is kept"
    before, after = snapshots(scenario, tmp_path, expected, job(1))
    state = before.states["PartialState"]
    if "MULTI_" not in state.get("distributed_type", ""):
        refute(expected="an Accelerator is distributed if LOCAL_RANK is set", seen=str(state))
    if lost := changes(state, after.states["PartialState"]):
        refute(expected=expected, seen="\n  ".join(lost), script=scenario.script)


DEEPSPEED = """\
import deepspeed.ops
deepspeed.ops.__compatible_ops__.clear()  # there may be no compiler; the state does not need one
from accelerate import DeepSpeedPlugin
"""


@pytest.mark.needs("deepspeed")
def test_deepspeed_state_is_kept(device: str, tmp_path: Path) -> None:
    """TrainingArguments() with use_configured_state keeps a DeepSpeed PartialState."""
    configure = f"{DEEPSPEED}accelerator = Accelerator(deepspeed_plugin=DeepSpeedPlugin())"
    scenario = Scenario(configure, CONFIGURED, "PartialState._shared_state")
    backend = {"DS_ACCELERATOR": "cpu"} if device == "cpu" else {}
    expected = "the PartialState of DeepSpeed is kept"
    before, after = snapshots(scenario, tmp_path, expected, {**job(1), **backend})
    state = before.states["PartialState"]
    if state.get("distributed_type") != "DistributedType.DEEPSPEED":
        refute(expected="an Accelerator with a DeepSpeedPlugin is DEEPSPEED", seen=str(state))
    if lost := changes(state, after.states["PartialState"]):
        refute(expected=expected, seen="\n  ".join(lost), script=scenario.script)


TWO = f"""\
import json, os, pathlib

# The second process of the job is a fork of the first.
second = os.fork()
if second == 0:
    os.environ.update(RANK="1", LOCAL_RANK="1")

from accelerate import Accelerator, PartialState
from transformers import TrainingArguments
import torch.distributed

def place():
    state = dict(PartialState._shared_state)
    return {{name: str(state.get(name)) for name in {PLACE!r}}}

accelerator = Accelerator(cpu=CPU)
before = place()
arguments = ARGUMENTS
seen = {{
    "before": before,
    "after": place(),
    "arguments": [arguments.world_size, arguments.process_index],
    "group": [torch.distributed.get_world_size(), torch.distributed.get_rank()],
    "mode": arguments.parallel_mode.value,
}}
torch.distributed.barrier()
torch.distributed.destroy_process_group()
if second == 0:
    pathlib.Path("second.json").write_text(json.dumps(seen))
    os._exit(0)
os.waitpid(second, 0)
report([seen, json.loads(pathlib.Path("second.json").read_text())])
"""


@FORMS
@pytest.mark.needs("distributed")
def test_two_processes_stay_two(arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps a job of two CPU processes, and reports both."""
    if arguments == DEFAULT and imported("torch").run(HAS_GPU).value:
        pytest.skip("without use_cpu, TrainingArguments() uses the GPU of this machine")
    assert_two_processes(arguments, "MULTI_CPU", tmp_path)


@PATHS
@pytest.mark.needs("gpu", count=2)
def test_two_gpus_stay_two(arguments: str, tmp_path: Path) -> None:
    """TrainingArguments() keeps a job of two GPU processes, and reports both."""
    assert_two_processes(arguments, "MULTI_GPU", tmp_path)


def assert_two_processes(arguments: str, kind: str, tmp_path: Path) -> None:
    """Fail the check unless the state and the arguments of both processes report the job."""
    entries = ("torch", "accelerate", "transformers.TrainingArguments")
    interpreter = imported(*entries)
    source = f"CPU = {kind == 'MULTI_CPU'}\n{TWO.replace('ARGUMENTS', arguments)}"
    environment = job(2)
    variables = " ".join(f"{name}={value}" for name, value in environment.items() if value)
    expected = "the state and the arguments report two processes, each with its own index"
    script = source.replace("report(", "print(")
    observation = interpreter.run(source, folder=tmp_path, environment=environment)
    reported(observation, expected=expected, script=script)
    lines: list[str] = []
    for rank, seen in enumerate(observation.value):
        if kind not in seen["before"]["distributed_type"]:
            refute(expected=f"the Accelerator joins the job as {kind}", seen=str(seen["before"]))
        lines += [f"process {rank}: {line}" for line in changes(seen["before"], seen["after"])]
        if seen["arguments"] != seen["group"]:
            own, group = ("{1} of {0}".format(*seen[name]) for name in ("arguments", "group"))
            lines.append(f"process {rank}: {own} in the arguments, {group} in the process group")
        if seen["mode"] != "distributed":
            lines.append(f"process {rank}: the arguments' parallel_mode is {seen['mode']}")
    if lines:
        command = f"{variables} python"
        seen_text = "\n  ".join(lines)
        refute(expected=expected, seen=seen_text, script=script, command=command)
