"""Limits that an engine accepts but does not enforce, by its description and its warnings."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from matrixci.errors import LimitsError
from matrixci.model import EngineFacts

# Limit to the key of the engine's description that reports its support.
_KEYS: Final = {
    "memory": "MemoryLimit",
    "swap": "SwapLimit",
    "pids": "PidsLimit",
    "cpus": "CpuCfsQuota",
}
_SECCOMP: Final = "seccomp"

# Pattern of a warning to the limit that it reports as dropped. The first match decides: the warning
# about swap also mentions memory.
_WARNINGS: Final = (
    (re.compile(r"swap limit", re.IGNORECASE), "swap"),
    (re.compile(r"memory", re.IGNORECASE), "memory"),
    (re.compile(r"pids", re.IGNORECASE), "pids"),
    (re.compile(r"cpu", re.IGNORECASE), "cpus"),
    (re.compile(r"seccomp", re.IGNORECASE), _SECCOMP),
)
_DROPPED: Final = re.compile(r"discard|ignor|not support|without swap", re.IGNORECASE)


def unenforced_limits(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the limits of a container that an engine accepts but does not enforce.

    A rootless engine without delegated control groups drops limits and only warns of it. Without
    swap accounting, a container that reaches its memory limit continues in swap.

    Args:
        info: the engine's description, as its API returns it. A missing key is ignored.
    """
    without_groups = info.get("CgroupDriver") == "none"
    limits = [name for name, key in _KEYS.items() if without_groups or info.get(key) is False]
    options = info.get("SecurityOptions")
    if options is not None and not _filters_system_calls(options):
        limits.append(_SECCOMP)
    return tuple(limits)


def security_options(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an engine's security options, such as seccomp and rootless."""
    return tuple(
        _fields(option).get("name", option) for option in info.get("SecurityOptions") or ()
    )


def dropped_limits(warnings: Iterable[str] | None) -> tuple[str, ...]:
    """Return the limits that the engine dropped when it created a container.

    Args:
        warnings: of the engine's answer. One about an unknown limit is returned unchanged.
    """
    dropped = [
        next((limit for words, limit in _WARNINGS if words.search(warning)), warning)
        for warning in warnings or ()
        if _DROPPED.search(warning)
    ]
    return tuple(dict.fromkeys(dropped))


def check_limits(facts: EngineFacts, host: str, *, required: bool) -> str | None:
    """Return a note about the limits that an engine cannot enforce, None if it enforces all.

    Args:
        facts: the engine's description.
        host: its address.
        required: refuse the engine if it cannot enforce a limit.

    Raises:
        LimitsError: it cannot enforce a limit, and all are required.
    """
    if not facts.unenforced:
        return None
    note = f"The container engine at {host} cannot enforce limits on {', '.join(facts.unenforced)}"
    if required:
        raise LimitsError(refusal(note))
    return f"{note}: checks run without them"


def refusal(problem: str) -> str:
    """Return the message of a refused engine.

    Args:
        problem: what it does not enforce, as the start of a sentence.
    """
    return (
        f"{problem}, and --require-limits is given.\nUse an engine that runs as root, delegate "
        "control groups to the rootless one, or remove the option."
    )


def _filters_system_calls(options: Iterable[str]) -> bool:
    found = (_fields(option) for option in options)
    return any(
        each.get("name") == _SECCOMP and each.get("profile") != "unconfined" for each in found
    )


def _fields(option: str) -> dict[str, str]:
    """Return the fields of an option such as name=seccomp,profile=builtin."""
    pairs = (field.partition("=") for field in option.split(","))
    return {key: value for key, _, value in pairs}
