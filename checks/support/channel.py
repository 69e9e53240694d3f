"""Pipes and the socket to a probe, read with a deadline and kept to a bounded size."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TAIL = 8 * 1024  # bytes of output that are kept
MOST = 8 * 1024 * 1024  # bytes of results that are read
MESSAGE_BYTES = 1 << 18
CHUNK_BYTES = 1 << 16


class Stream:
    """The read end of a pipe, read without blocking; a bounded part of the data is kept."""

    def __init__(self, fd: int, keep: Callable[[bytes], bytes]) -> None:
        """Take over a descriptor.

        Args:
            fd: read end of the pipe.
            keep: returns the part to keep of all data.
        """
        os.set_blocking(fd, False)
        self.fd = fd
        self.data = b""
        self.open = True
        self._keep = keep

    def read(self) -> bool:
        """Read what is available; return False if there is nothing more for now."""
        try:
            chunk = os.read(self.fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        self.data = self._keep(self.data + chunk)
        return True

    def close(self) -> None:
        """Read the rest of an ended process's data, then close."""
        for _ in range(MOST // CHUNK_BYTES):
            if not self.open or not self.read():
                break
        os.close(self.fd)


def last(data: bytes) -> bytes:
    """Return the last bytes of output."""
    return data[-TAIL:]


def first(data: bytes) -> bytes:
    """Return the first bytes of results."""
    return data[:MOST]


class JobPipes:
    """The result and output pipes of one job; their data can be read after the `with` block."""

    def __init__(self) -> None:
        """Open both pipes."""
        result, result_end = os.pipe()
        output, output_end = os.pipe()
        self.result = Stream(result, first)
        self.output = Stream(output, last)
        self.write_ends = (result_end, output_end)

    def __enter__(self) -> JobPipes:  # noqa: PYI034 - typing has no Self before 3.11
        return self

    def __exit__(self, *_: object) -> None:
        for end in self.write_ends:
            os.close(end)
        self.result.close()
        self.output.close()


class Channel:
    """The control socket of an interpreter, on which jobs are sent and messages received."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over one end of a socket pair."""
        self._connection = connection

    def send(self, job: Mapping[str, Any], pipes: JobPipes) -> bool:
        """Send a job with the write ends of its pipes; return False if nobody receives it."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._connection, [json.dumps(job).encode()], pipes.write_ends)
            return True
        return False

    def receive(self, deadline: float, *streams: Stream) -> dict[str, Any] | None:
        """Wait for a message while draining streams.

        Returns:
            The message; None if the deadline passed or the other end was closed.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            for stream in streams:
                if stream.open:
                    selector.register(stream.fd, selectors.EVENT_READ, stream)
            while (left := deadline - time.monotonic()) > 0:
                for key, _events in selector.select(left):
                    stream = key.data
                    if stream is None:
                        return self._message()
                    stream.read()
                    if not stream.open:
                        selector.unregister(stream.fd)
        return None

    def close(self) -> None:
        """Close the socket, which ends the interpreter."""
        self._connection.close()

    def _message(self) -> dict[str, Any] | None:
        try:
            message = self._connection.recv(MESSAGE_BYTES)
        except ConnectionError:
            return None
        return json.loads(message) if message else None
