"""Child processes left by a killed matrixci, found by an environment variable."""

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
    """Return the environment of a child, marked as started by this process."""
    return {**environment, _VARIABLE: owner.this_process()}


def sweep_orphans() -> int:
    """Kill processes left by a matrixci that was killed, and return their number.

    Otherwise a build or a download would continue without any use.
    """
    swept = 0
    for path in _PROC.glob("[0-9]*/environ"):
        # The process has ended, belongs to another user, or this is not Linux.
        with suppress(OSError, AttributeError):
            # A pidfd keeps referring to the same process, even if its id is reused.
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
