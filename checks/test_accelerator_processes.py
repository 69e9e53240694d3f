"""Checks that TrainingArguments keeps the state of a distributed job on the loopback interface."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.claims import imported, refute, reported
from support.state_scenarios import Scenario, changes, snapshots
from support.training_arguments import CONFIGURED, DEFAULT, PATHS, accelerator, with_more

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.reference("huggingface/transformers#40376")]


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
