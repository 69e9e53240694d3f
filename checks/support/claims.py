"""Shared parts of the checks: the cell, shared interpreters, skips, and failure messages."""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

from support.probe import Interpreter, environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.observation import Observation

CHECKS = Path(__file__).resolve().parents[1]
STACK = {  # imports of the shared interpreter, in this order: entry to the distribution it needs
    "numpy": "numpy",
    "torch": "torch",
    "accelerate": "accelerate",
    "transformers": "transformers",
    "transformers.Trainer": "transformers",
    "transformers.TrainingArguments": "transformers",
    "transformers.pipeline": "transformers",
    "transformers.AutoModel": "transformers",
}
FOUNDATION = {  # the slowest imports below the subject; none of them looks for another framework
    "torch": "torch",  # first, as test_import_order_does_not_matter expects
    "numpy": "numpy",
    "torch.distributed.fsdp": "torch",
    "torch._dynamo": "torch",
}


class Cell(Protocol):
    """The keys of cell.json that the checks use."""

    axes: Mapping[str, str]
    device: str
    subject: str
    requires: Sequence[str]
    lock: Mapping[str, str]
    torch_backend: str | None
    torch_fallback: bool


class Metric(Protocol):
    """Records a number for the report; its name ends with the unit."""

    def __call__(self, name: str, value: float, /) -> None:
        """Record a number."""


def installed(distribution: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@functools.cache
def cell_values() -> Mapping[str, Any]:
    """Return the content of cell.json; unlike the fixture, also available during collection."""
    file = CHECKS.parent / "cell.json"
    if not file.exists():
        return {"subject": "transformers"}
    cell: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return cell


def subject() -> str:
    """Return the name of the distribution under test."""
    name: str = cell_values()["subject"]
    return name


def listed_entries() -> list[str]:
    """Return the imports of the subject that the matrix lists."""
    entries: list[str] = cell_values().get("imports", [])
    return [entry for entry in entries if entry.partition(".")[0] in subject_modules()]


@functools.cache
def subject_modules() -> list[str]:
    """Return the top-level modules of the subject, according to its metadata."""
    plain = subject().replace("-", "_")
    try:
        files = importlib.metadata.files(subject()) or []
    except importlib.metadata.PackageNotFoundError:
        return [plain]
    tops = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    names = sorted(top for top in tops if top.isidentifier() and not top.startswith("_"))
    return [plain] if plain in names or not names else names


def applies_to(*distributions: str) -> None:
    """Skip the check if a distribution is not installed."""
    for distribution in distributions:
        if not installed(distribution):
            pytest.skip(f"{distribution} is not installed")


@functools.cache
def stack() -> Interpreter:
    """Return the shared interpreter that has imported the whole stack."""
    own = {name: subject() for name in subject_modules() if name not in STACK}
    return _shared({**STACK, **own})


@functools.cache
def foundation() -> Interpreter:
    """Return the shared interpreter that has imported the subject's dependencies only."""
    return _shared(FOUNDATION)


def _shared(entries: Mapping[str, str]) -> Interpreter:
    preload = [entry for entry, distribution in entries.items() if installed(distribution)]
    # torch.cuda.is_available() then asks NVML, which leaves CUDA usable in forks.
    fork_safe = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    interpreter = Interpreter(environment(fork_safe, without=()), preload=preload)
    atexit.register(interpreter.close)
    return interpreter


def imported(*entries: str) -> Interpreter:
    """Return a shared interpreter that has imported some entries; fail the check otherwise."""
    applies_to(*(STACK.get(entry, subject()) for entry in entries))
    # A check of a dependency neither waits for the subject nor fails with it.
    below = set(entries) <= set(FOUNDATION)
    stack_is_up = stack.cache_info().currsize > 0 and stack().failure is None
    interpreter = foundation() if below and not stack_is_up else stack()
    if interpreter.failure is not None:
        refute(expected="the stack can be imported", seen=interpreter.failure)
    for entry in entries:
        error = interpreter.preloaded[entry].error
        if error is not None:
            refute(expected=f"{entry} can be imported", seen=f"{error}\n{error.traceback}")
    return interpreter


def refute(
    *,
    expected: str,
    seen: str,
    chain: Sequence[str] = (),
    script: str = "",
    command: str = "python",
) -> NoReturn:
    """Fail the check.

    Args:
        expected: what the check expects.
        seen: what was observed.
        chain: modules that led to an import, outermost first.
        script: smallest script that reproduces the failure.
        command: command that runs the script.
    """
    parts = [f"expected: {expected}", f"seen: {bounded(seen)}"]
    if chain:
        parts.append("imported by:\n" + "\n".join(f"  {link}" for link in middle_out(chain)))
    if script:
        parts.append(f"to reproduce:\n{command} - <<'EOF'\n{script.strip()}\nEOF")
    pytest.fail("\n".join(parts), pytrace=False)


def bounded(text: str, most: int = 1800) -> str:
    """Return the text, with its middle cut out if it is long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters omitted ...\n{text[-half:]}"


def middle_out(chain: Sequence[str], most: int = 10) -> list[str]:
    """Return a chain, with its middle cut out if it is long."""
    if len(chain) <= most:
        return list(chain)
    return [*chain[:2], f"... {len(chain) - most} more ...", *chain[2 - most :]]


def seen_of(observation: Observation) -> str:
    """Describe how a probe ended, with the end of its output."""
    if observation.raised is not None:
        return f"the probe raised\n{observation.raised.traceback.strip()[-1500:]}"
    return f"the probe {observation.ending}\n{observation.output.strip()[-1500:]}".strip()


def reported(observation: Observation, *, expected: str, script: str = "") -> Observation:
    """Return the observation if the probe succeeded; fail the check otherwise."""
    if not observation.succeeded:
        refute(expected=expected, seen=seen_of(observation), script=script)
    return observation
