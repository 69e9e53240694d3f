"""The pipe on which the process of the checks reports to its supervisor."""

from __future__ import annotations

import fcntl
import os
import termios
from time import monotonic, sleep
from typing import Any

import protocol

READ_SECONDS = 1.0


class SupervisorChannel:
    """Sends JSON lines to the supervisor, and waits until it has read them."""

    def __init__(self, descriptor: int) -> None:
        """Remember the pipe, this process, and where its output goes.

        Args:
            descriptor: write end of the pipe to the supervisor.
        """
        self._descriptor = descriptor
        self._output = os.dup(2)
        self._process = os.getpid()

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork that a check made; it must not report anything."""
        return os.getpid() != self._process

    def send(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send one event; a fork sends nothing."""
        if self.is_foreign:
            return
        data = protocol.encode({"kind": kind, **fields})
        while data:
            data = data[os.write(self._descriptor, data) :]

    def send_end(self, check: str, end: dict[str, Any]) -> None:
        """Send the result of a check."""
        message = protocol.bounded(end["message"], protocol.MESSAGE_CHARACTERS)
        detail = protocol.bounded(end["detail"], protocol.DETAIL_CHARACTERS)
        self.send("end", **{**end, "id": check, "message": message, "detail": detail})

    def wait_until_output_is_read(self) -> None:
        """Wait until the supervisor has read all output, so that it knows whose output it is."""
        _wait_until_empty(self._output)

    def wait_until_recorded(self) -> None:
        """Wait until all events are in the results file; a check may kill the supervisor."""
        for _ in range(2):  # the supervisor reads one only after it has handled all before it
            self.send("waiting")
            _wait_until_empty(self._descriptor)


def _wait_until_empty(pipe: int) -> None:
    deadline = monotonic() + READ_SECONDS
    while any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))) and monotonic() < deadline:
        sleep(0.001)
