"""Stories about the accelerator's state: what was configured, what was done, what was seen.

The three singletons of `accelerate.state` are observed by copying their shared dicts. Their
identity says nothing (a reset clears them in place), and `AcceleratorState()` must not be called to
look: after a reset the second call returns a half-built state that looks like a plain one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claims import imported, refute, reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from probe import Interpreter, Observation

IMPORTS = (
    "from accelerate import Accelerator\nfrom transformers import Trainer, TrainingArguments\n"
)
STATES = ("PartialState", "AcceleratorState", "GradientState")
ANSWERS = (
    *("distributed_type", "device", "mixed_precision"),
    *("num_processes", "process_index", "local_process_index", "is_main_process"),
)

OBSERVER = f"""\
import enum, os
import accelerate.state, torch

kept = []  # an object that is gone would lend its address to the next one

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

def answer(accelerator, name):
    try:
        return plain(getattr(accelerator, name))
    except Exception as error:
        return f"raises {{type(error).__name__}}: {{error}}"

def observed(accelerator=None):
    return {{
        "states": states(),
        "answers": {{n: answer(accelerator, n) for n in {ANSWERS!r}}} if accelerator else {{}},
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
    return trainers().run(story.source, folder=folder, environment=environment)


def trainers() -> Interpreter:
    """Return the interpreter that has all imported that a story needs."""
    return imported("accelerate", "transformers.Trainer", "transformers.TrainingArguments")


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
    story: Story,
    names: Sequence[str],
    folder: Path,
    environment: Mapping[str, str | None] | None = None,
) -> None:
    """Assert that some of the states are after the story what they were before."""
    expected = f"{' and '.join(names)} as configured"
    before, after = looks(story, folder, expected, environment)
    found: list[str] = []
    for name in names:
        if not before.states[name]:
            refute(expected=f"{name} is configured", seen="it is empty", script=story.script)
        if lost := changes(before.states[name], after.states[name]):
            count = f"{name}: {len(lost)} of {len(before.states[name])} keys changed"
            found.append("\n  ".join([count, *lost]))
    if found:
        refute(expected=expected, seen="\n".join(found), script=story.script)
