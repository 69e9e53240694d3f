"""Limits that an engine accepts and does not enforce: what its description and its warnings say."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from matrixci.errors import LimitsError
from matrixci.model import EngineFacts

# Limit to the key of the engine's own description that says whether it can be enforced.
_KEYS: Final = {
    "memory": "MemoryLimit",
    "swap": "SwapLimit",
    "pids": "PidsLimit",
    "cpus": "CpuCfsQuota",
}
_SECCOMP: Final = "seccomp"

# Words of a warning to the limit that it says is dropped. The first match decides: the warning on
# swap also has the word memory.
_WARNINGS: Final = (
    (re.compile(r"swap limit", re.IGNORECASE), "swap"),
    (re.compile(r"memory", re.IGNORECASE), "memory"),
    (re.compile(r"pids", re.IGNORECASE), "pids"),
    (re.compile(r"cpu", re.IGNORECASE), "cpus"),
    (re.compile(r"seccomp", re.IGNORECASE), _SECCOMP),
)
_DROPPED: Final = re.compile(r"discard|ignor|not support|without swap", re.IGNORECASE)


def unenforced_limits(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the limits of a container that an engine accepts and does not enforce.

    A rootless engine without delegated control groups drops limits and only warns of it. Without
    swap accounting, a container that reaches its memory limit goes on in swap.

    Args:
        info: the engine's own description, as its API returns it. A key that is missing says
            nothing.
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
    """Return the limits that the engine's answer to the creation of a container says are dropped.

    Args:
        warnings: of that answer. One that names no limit known here is returned as it is.
    """
    dropped = [
        next((limit for words, limit in _WARNINGS if words.search(warning)), warning)
        for warning in warnings or ()
        if _DROPPED.search(warning)
    ]
    return tuple(dict.fromkeys(dropped))


def check_limits(facts: EngineFacts, host: str, *, required: bool) -> str | None:
    """Return a line that says which limits an engine cannot enforce, None if there are none.

    Args:
        facts: of the engine.
        host: its address.
        required: every limit must hold.

    Raises:
        LimitsError: one would not hold, and all are required.
    """
    if not facts.unenforced:
        return None
    told = f"The container engine at {host} cannot enforce limits on {', '.join(facts.unenforced)}"
    if required:
        raise LimitsError(refusal(told))
    return f"{told}: checks run without them"


def refusal(what: str) -> str:
    """Return the message that refuses an engine.

    Args:
        what: what it does not enforce, as the beginning of a sentence.
    """
    return (
        f"{what}, and --require-limits is given.\nUse an engine that runs as root, delegate "
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
