"""What the claims share: interpreters that are started once, skips, and evidence."""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest
from probe import Interpreter, Observation, environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STACK = {  # what the shared interpreter imports: entry to the distribution it needs, in this order
    "numpy": "numpy",
    "torch": "torch",
    "accelerate": "accelerate",
    "transformers": "transformers",
    "transformers.Trainer": "transformers",
    "transformers.TrainingArguments": "transformers",
    "transformers.pipeline": "transformers",
    "transformers.AutoModel": "transformers",
}
FOUNDATION = {  # the slowest imports below the subject; none of them asks for another framework
    "torch": "torch",  # first, as it is nowhere else
    "numpy": "numpy",
    "torch.distributed.fsdp": "torch",
    "torch._dynamo": "torch",
}


class Cell(Protocol):
    """What the claims use of cell.json."""

    axes: Mapping[str, str]
    device: str
    subject: str
    requires: Sequence[str]
    lock: Mapping[str, str]
    torch_backend: str | None
    torch_fallback: bool


class Figure(Protocol):
    """Records a number for the report; its unit is in its name."""

    def __call__(self, name: str, value: float, /) -> None:
        """Record it."""


def installed(distribution: str) -> bool:
    """Tell whether a distribution is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@functools.cache
def told() -> Mapping[str, Any]:
    """Return what the container was told of its cell; also while the checks are collected."""
    file = Path(__file__).resolve().parent.parent / "cell.json"
    if not file.exists():
        return {"subject": "transformers"}
    cell: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return cell


def subject() -> str:
    """Return the name of the distribution under test."""
    name: str = told()["subject"]
    return name


def listed_entries() -> list[str]:
    """Return what the matrix says that users import of the subject; nothing of another's."""
    return [one for one in told().get("entries", ()) if one.partition(".")[0] in subject_modules()]


@functools.cache
def subject_modules() -> list[str]:
    """Return the top-level modules of the subject, by its distribution's metadata."""
    plain = subject().replace("-", "_")
    try:
        files = importlib.metadata.files(subject()) or []
    except importlib.metadata.PackageNotFoundError:
        return [plain]
    tops = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    names = sorted(top for top in tops if top.isidentifier() and not top.startswith("_"))
    return [plain] if plain in names or not names else names


def applies_to(*distributions: str) -> None:
    """Skip a claim about something that the cell doesn't have."""
    for distribution in distributions:
        if not installed(distribution):
            pytest.skip(f"{distribution} is not installed")


@functools.cache
def stack() -> Interpreter:
    """Return an interpreter that has imported the stack under test, to be forked by the claims."""
    own = {name: subject() for name in subject_modules() if name not in STACK}
    return _shared({**STACK, **own})


@functools.cache
def foundation() -> Interpreter:
    """Return an interpreter that has imported what lies below the subject, and not the subject."""
    return _shared(FOUNDATION)


def _shared(entries: Mapping[str, str]) -> Interpreter:
    preload = [entry for entry, distribution in entries.items() if installed(distribution)]
    # is_available() then asks the driver's library, and leaves CUDA usable in the forks.
    fork_safe = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    interpreter = Interpreter(environment(fork_safe, without=()), preload=preload)
    atexit.register(interpreter.close)
    return interpreter


def imported(*entries: str) -> Interpreter:
    """Return the interpreter of the stack; the claim fails where an entry couldn't be imported."""
    applies_to(*(STACK.get(entry, subject()) for entry in entries))
    # A claim about what lies below the subject neither waits for the subject, nor falls with it.
    below = set(entries) <= set(FOUNDATION)
    stands = stack.cache_info().currsize > 0 and stack().failure is None
    interpreter = foundation() if below and not stands else stack()
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
    """Fail a claim with the evidence, and with the smallest script that shows it again."""
    parts = [f"expected: {expected}", f"seen: {bounded(seen)}"]
    if chain:
        parts.append("imported by:\n" + "\n".join(f"  {link}" for link in middle_out(chain)))
    if script:
        parts.append(f"to see it again:\n{command} - <<'EOF'\n{script.strip()}\nEOF")
    pytest.fail("\n".join(parts), pytrace=False)


def bounded(text: str, most: int = 1800) -> str:
    """Return the text without its middle where it is long."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def middle_out(chain: Sequence[str], most: int = 10) -> list[str]:
    """Return a chain without its middle where it is long."""
    if len(chain) <= most:
        return list(chain)
    return [*chain[:2], f"... {len(chain) - most} more ...", *chain[2 - most :]]


def seen_of(observation: Observation) -> str:
    """Say how a probe ended, with the end of what it printed."""
    if observation.raised is not None:
        return f"the probe raised\n{observation.raised.traceback.strip()[-1500:]}"
    return f"the probe {observation.ending}\n{observation.output.strip()[-1500:]}".strip()


def reported(observation: Observation, *, expected: str, script: str = "") -> Observation:
    """Return the observation if it ended well; the claim fails otherwise."""
    if not observation.well:
        refute(expected=expected, seen=seen_of(observation), script=script)
    return observation
