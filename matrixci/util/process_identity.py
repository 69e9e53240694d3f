"""Identity of a process, for labels on what it creates, so that leftovers can be cleaned up.

It consists of the machine, its boot, the process id and the start time, because process ids are
reused.
"""

import os
import socket
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def this_process() -> str:
    """Return the identity of this process."""
    return f"{_machine()}/{os.getpid()}/{_start(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Return whether an owner is a running process of this machine."""
    machine, process, began = _parts(owner)
    return machine == _machine() and process.isdecimal() and _start(int(process)) == began != ""


def is_dead(owner: str) -> bool:
    """Return whether an owner is a process of this machine that has ended.

    An owner on another machine, or one that cannot be parsed, counts as alive.
    """
    machine, process, began = _parts(owner)
    if machine != _machine() or not process.isdecimal():
        return False
    return _start(int(process)) != began


def _parts(owner: str) -> tuple[str, str, str]:
    """Return the machine, the process id and the start time."""
    rest, _, began = owner.rpartition("/")
    machine, _, process = rest.rpartition("/")
    return machine, process, began


def _machine() -> str:
    """Return the names of this machine (or container) and of its current boot."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = "unknown"
    return f"{socket.gethostname()}/{boot}"


def _start(process: int) -> str:
    """Return the start time of a process in clock ticks since boot, or "" if there is none."""
    try:
        text = (_PROC / str(process) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # Field 2 is the command in parentheses, which may contain anything; field 22 is the start.
    return text.rpartition(")")[2].split()[19]
