"""Scenarios that configure the accelerator's state, act, and compare the state before and after.

The three singletons of `accelerate.state` are observed by copying their shared dicts. Their
identity is no evidence, because a reset clears them in place. `AcceleratorState()` must not be
called to read the state: after a reset, the second call returns a half-initialised state that looks
like a default one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.claims import imported, refute, reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from support.observation import Observation
    from support.probe import Interpreter

IMPORTS = (
    "from accelerate import Accelerator\nfrom transformers import Trainer, TrainingArguments\n"
)
STATES = ("PartialState", "AcceleratorState", "GradientState")
ATTRIBUTES = (
    *("distributed_type", "device", "mixed_precision"),
    *("num_processes", "process_index", "local_process_index", "is_main_process"),
)

OBSERVER = f"""\
import enum, os
import accelerate.state, torch

kept = []  # keeps objects alive, so that no address is reused

def plain(value):
    kept.append(value)
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

def attribute(accelerator, name):
    try:
        return plain(getattr(accelerator, name))
    except Exception as error:
        return f"raises {{type(error).__name__}}: {{error}}"

def observed(accelerator=None):
    return {{
        "states": states(),
        "attributes": {{
            n: attribute(accelerator, n) for n in ({ATTRIBUTES!r} if accelerator else ())
        }},
        "environment": {{k: v for k, v in os.environ.items() if k.startswith("ACCELERATE_")}},
    }}
"""


@dataclass(frozen=True)
class Snapshot:
    """The observed state at one moment."""

    states: Mapping[str, Mapping[str, str]]
    attributes: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Scenario:
    """A user's script: it configures an accelerator, then does something."""

    configure: str
    act: str
    show: str = "AcceleratorState._shared_state"

    @property
    def script(self) -> str:
        """The smallest script that reproduces the behaviour."""
        shown = f"from accelerate.state import *\nprint({self.show})"
        return f"{IMPORTS}{self.configure}\n{self.act}\n{shown}"

    @property
    def source(self) -> str:
        """The snippet that takes a snapshot before and after the action."""
        snapshot = "observed(globals().get('accelerator'))"
        act = f"before = {snapshot}\n{self.act}\nreport([before, {snapshot}])"
        return f"{OBSERVER}{IMPORTS}{self.configure}\n{act}"


def run(
    scenario: Scenario, folder: Path, environment: Mapping[str, str | None] | None = None
) -> Observation:
    """Run a scenario in a fork of the shared interpreter."""
    return trainers().run(scenario.source, folder=folder, environment=environment)


def trainers() -> Interpreter:
    """Return the shared interpreter with all imports that a scenario needs."""
    return imported("accelerate", "transformers.Trainer", "transformers.TrainingArguments")


def snapshots(
    scenario: Scenario,
    folder: Path,
    expected: str,
    environment: Mapping[str, str | None] | None = None,
) -> tuple[Snapshot, Snapshot]:
    """Return the state before and after the action; fail the check if the script fails."""
    observation = reported(
        run(scenario, folder, environment),
        expected=expected,
        script=scenario.script,
    )
    before, after = (Snapshot(**values) for values in observation.value)
    return before, after


def changes(
    before: Mapping[str, str], after: Mapping[str, str], keys: Sequence[str] = ()
) -> list[str]:
    """Return the keys that a state lost or changed; additional keys are no change."""
    lines: list[str] = []
    for key in keys or before:
        if key not in after:
            lines.append(f"{key}: was {before.get(key)}, is gone")
        elif before.get(key) != after[key]:
            lines.append(f"{key}: was {before.get(key)}, is {after[key]}")
    return lines


def assert_state_is_kept(
    scenario: Scenario,
    names: Sequence[str],
    folder: Path,
    environment: Mapping[str, str | None] | None = None,
) -> None:
    """Fail the check if the action changes some of the states."""
    expected = f"{' and '.join(names)} as configured"
    before, after = snapshots(scenario, folder, expected, environment)
    found: list[str] = []
    for name in names:
        if not before.states[name]:
            refute(expected=f"{name} is configured", seen="it is empty", script=scenario.script)
        if lost := changes(before.states[name], after.states[name]):
            count = f"{name}: {len(lost)} of {len(before.states[name])} keys changed"
            found.append("\n  ".join([count, *lost]))
    if found:
        refute(expected=expected, seen="\n".join(found), script=scenario.script)
