"""Who made a container: told by a label, so that what a killed process left can be swept.

A process is known by its machine, the machine's boot, its id and its start: an id alone may be
another process's by now.
"""

import os
import socket
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def this_process() -> str:
    """Return the label's value for this process."""
    return f"{_machine()}/{os.getpid()}/{_start(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Return whether an owner is a process of this machine that certainly lives."""
    machine, process, began = _parts(owner)
    return machine == _machine() and process.isdecimal() and _start(int(process)) == began != ""


def is_dead(owner: str) -> bool:
    """Return whether an owner is certainly gone.

    One of another machine is left alone, as is whatever can't be read.
    """
    machine, process, began = _parts(owner)
    if machine != _machine() or not process.isdecimal():
        return False
    return _start(int(process)) != began


def _parts(owner: str) -> tuple[str, str, str]:
    """Return the machine, the process and its start."""
    rest, _, began = owner.rpartition("/")
    machine, _, process = rest.rpartition("/")
    return machine, process, began


def _machine() -> str:
    """Return a name of this boot of this machine (in a container: of that container)."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = "unknown"
    return f"{socket.gethostname()}/{boot}"


def _start(process: int) -> str:
    """Return when a process started, in clock ticks since the boot; "" where there is none."""
    try:
        text = (_PROC / str(process) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The second field is the command in parentheses and may hold anything; the start is the 22nd.
    return text.rpartition(")")[2].split()[19]
