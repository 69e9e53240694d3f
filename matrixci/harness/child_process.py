"""A process of the harness in a session of its own, and the pipes that lead to it."""

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

# A pipe holds 64 KiB, and 1 MiB where someone asked for it. What comes after that is not the
# child's but of a process that it left behind, which may print forever.
DRAIN_CHUNKS: Final = 32


class Child:
    """A running script of this folder.

    It is given two descriptors as its arguments, one to say lines to the supervisor and one for the
    stacks of its threads, and its orders as JSON on stdin. Orders and stacks are files, so nothing
    blocks there, and in memory, because a check may have filled the scratch.
    """

    def __init__(self, script: str, orders: dict[str, Any]) -> None:
        """Start the script.

        Raises:
            OSError: there is no room for a process or its files.
        """
        with ExitStack() as ends, _memory_file("orders") as stdin:
            self._stacks = _memory_file("stacks")
            self._said, say = os.pipe()
            ends.callback(os.close, say)
            self._printed, output = os.pipe()
            ends.callback(os.close, output)
            stdin.write(json.dumps(orders).encode())
            stdin.seek(0)
            inherited = (say, self._stacks.fileno())
            # -u: what a check printed before it crashed must not die in a buffer.
            self._process = subprocess.Popen(  # noqa: S603 - a script of this folder
                [sys.executable, "-u", str(HARNESS / script), *map(str, inherited)],
                stdin=stdin,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
            )
        self._open = [self._said, self._printed]
        self._rest = b""
        self._tail = b""
        self._lost = 0

    def close(self) -> None:
        """Kill what is left of the process and its group, and close the pipes."""
        self._kill()
        self._process.wait()
        os.close(self._said)
        os.close(self._printed)
        self._stacks.close()

    def exited(self) -> bool:
        """Tell whether the process ended. It stays unreaped, so its group's id is not used anew."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def pump(self, seconds: float) -> Iterator[bytes]:
        """Wait so long for the process to say or print something; yield the lines it said.

        What it said comes before what it printed: the process says that a check begins when all
        it printed before was taken in, so that the tail holds what this check printed.
        """
        # Once both pipes are at their end, nothing wakes this up: the process ends any moment.
        seconds = seconds if self._open else min(seconds, 0.01)
        ready, _, _ = select.select(self._open, [], [], seconds)
        if self._said in ready:
            *lines, rest = (self._rest + self._read(self._said)).split(b"\n")
            self._rest = rest[: protocol.LINE_BYTES + 1]  # enough to tell that it is too long
            yield from lines
        if self._printed in ready:
            self._print(self._read(self._printed))

    def ask_stacks(self) -> None:
        """Have the process write where each of its threads is; wait a moment for it."""
        os.kill(self._process.pid, protocol.STACKS_SIGNAL)
        deadline = time.monotonic() + STACKS_SECONDS
        size = 0
        while time.monotonic() < deadline:
            time.sleep(0.1)
            before, size = size, os.fstat(self._stacks.fileno()).st_size
            if size and size == before:
                break

    def end(self) -> tuple[int, list[bytes]]:
        """Kill what is left of the process and its group.

        Returns:
            its exit status as subprocess has it, and the lines that were left in the pipe.
        """
        self._kill()
        status = self._process.wait()
        lines: list[bytes] = []
        for _ in range(DRAIN_CHUNKS):
            lines.extend(self.pump(0))
        return status, lines

    def forget_output(self) -> None:
        """Start the tail of the output anew."""
        self._tail = b""
        self._lost = 0

    def output(self) -> str:
        """Return the tail of what was printed since it was last started anew."""
        lost = f"[{self._lost:,} bytes before this are in the log alone]\n" if self._lost else ""
        return lost + self._tail.decode("utf-8", "replace")

    def stacks(self) -> str:
        """Return what faulthandler wrote of a crash, or when asked for it; empty if nothing."""
        self._stacks.seek(0)
        return self._stacks.read(TAIL_BYTES).decode("utf-8", "replace")

    def _kill(self) -> None:
        if self._process.returncode is None:  # once it is reaped, the id may be another's
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
        self._lost += len(whole) - len(self._tail)


def _memory_file(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(name), "w+b")
