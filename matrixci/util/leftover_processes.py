"""Child processes that outlive a matrixci that was killed: found by what they were started with."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from matrixci.util import process_identity as owner

_VARIABLE: Final = "MATRIXCI_OWNER"
_PROC: Final = Path("/proc")


def owned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child that is known for this process's own."""
    return {**environment, _VARIABLE: owner.this_process()}


def sweep_orphans() -> int:
    """Kill the children, and theirs, of processes that were killed; return how many there were.

    A build or a download would go on for nobody.
    """
    swept = 0
    for path in _PROC.glob("[0-9]*/environ"):
        # Gone, someone else's, or no Linux: there is nothing to do about it.
        with suppress(OSError, AttributeError):
            # Held before it is looked at, so that no other process comes to be meant.
            process = os.pidfd_open(int(path.parent.name))
            try:
                if _is_orphan(path.read_bytes()):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                    swept += 1
            finally:
                os.close(process)
    return swept


def _is_orphan(environment: bytes) -> bool:
    for setting in environment.split(b"\0"):
        name, _, value = setting.partition(b"=")
        if name == _VARIABLE.encode():
            return owner.is_dead(value.decode(errors="replace"))
    return False
