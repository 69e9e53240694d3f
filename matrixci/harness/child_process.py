"""A child process of the harness in its own session, with the pipes to it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

HARNESS: Final = Path(__file__).resolve().parent
TAIL_BYTES: Final = 32 * 1024
CHUNK_BYTES: Final = 64 * 1024
STACKS_SECONDS: Final = 2.0

# A pipe holds 64 KiB, or up to 1 MiB if it was enlarged. More data after the end of the child comes
# from a process that it left running, which may print forever.
DRAIN_CHUNKS: Final = 32


class ChildProcess:
    """A running script of this folder.

    Its arguments are two descriptors: one for events to the supervisor, one for the stacks of its
    threads. It reads its orders as JSON from stdin. Orders and stacks are files, so that nothing
    blocks. They are in memory, because a check may have filled the temporary file system.
    """

    def __init__(self, script: str, orders: dict[str, Any]) -> None:
        """Start the script.

        Raises:
            OSError: there is no room for another process or its files.
        """
        with ExitStack() as ends, _memory_file("orders") as stdin:
            self._stacks = _memory_file("stacks")
            self._events, events_end = os.pipe()
            ends.callback(os.close, events_end)
            self._printed, output_end = os.pipe()
            ends.callback(os.close, output_end)
            stdin.write(json.dumps(orders).encode())
            stdin.seek(0)
            inherited = (events_end, self._stacks.fileno())
            # -u: a crash must not lose output in a buffer.
            self._process = subprocess.Popen(  # noqa: S603 - a script of this folder
                [sys.executable, "-u", str(HARNESS / script), *map(str, inherited)],
                stdin=stdin,
                stdout=output_end,
                stderr=output_end,
                pass_fds=inherited,
                start_new_session=True,
            )
        self._open = [self._events, self._printed]
        self._partial_line = b""
        self._tail = b""
        self._dropped = 0

    def close(self) -> None:
        """Kill the process and its group, and close the pipes."""
        self._kill()
        self._process.wait()
        os.close(self._events)
        os.close(self._printed)
        self._stacks.close()

    def exited(self) -> bool:
        """Return whether the process has exited; it is not reaped, so its id is not reused."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def pump(self, seconds: float) -> Iterator[bytes]:
        """Wait for events or output of the process; yield the lines of events.

        Events are read before output. The process sends the begin of a check only after all earlier
        output was read, so the tail holds the output of that check.
        """
        # Once both pipes are at their end, select() would not return early. The process ends soon.
        seconds = seconds if self._open else min(seconds, 0.01)
        ready, _, _ = select.select(self._open, [], [], seconds)
        if self._events in ready:
            *lines, rest = (self._partial_line + self._read(self._events)).split(b"\n")
            # Keep enough to recognise that a line is too long.
            self._partial_line = rest[: protocol.LINE_BYTES + 1]
            yield from lines
        if self._printed in ready:
            self._print(self._read(self._printed))

    def dump_stacks(self) -> None:
        """Make the process write the stacks of its threads, and wait briefly for them."""
        os.kill(self._process.pid, protocol.STACKS_SIGNAL)
        deadline = time.monotonic() + STACKS_SECONDS
        size = 0
        while time.monotonic() < deadline:
            time.sleep(0.1)
            before, size = size, os.fstat(self._stacks.fileno()).st_size
            if size and size == before:
                break

    def kill(self) -> tuple[int, list[bytes]]:
        """Kill the process and its group.

        Returns:
            The exit status as in subprocess, and the lines that were left in the pipe.
        """
        self._kill()
        status = self._process.wait()
        lines: list[bytes] = []
        for _ in range(DRAIN_CHUNKS):
            lines.extend(self.pump(0))
        return status, lines

    def clear_output(self) -> None:
        """Clear the tail of the output."""
        self._tail = b""
        self._dropped = 0

    def output(self) -> str:
        """Return the tail of the output since it was last cleared."""
        dropped = (
            f"[{self._dropped:,} earlier bytes are only in the log]\n" if self._dropped else ""
        )
        return dropped + self._tail.decode("utf-8", "replace")

    def stacks(self) -> str:
        """Return the stacks that faulthandler wrote at a crash or on request, or ""."""
        self._stacks.seek(0)
        return self._stacks.read(TAIL_BYTES).decode("utf-8", "replace")

    def _kill(self) -> None:
        if self._process.returncode is None:  # after reaping, the id may be another process's
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self, descriptor: int) -> bytes:
        data = os.read(descriptor, CHUNK_BYTES)
        if not data:
            self._open.remove(descriptor)
        return data

    def _print(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        whole = self._tail + data
        self._tail = whole[-TAIL_BYTES:]
        self._dropped += len(whole) - len(self._tail)


def _memory_file(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "w+b")
