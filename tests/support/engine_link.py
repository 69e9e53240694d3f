"""A proxy for the socket of an engine, which a test can cut or pause."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from engine_state import docker

_PIECE_BYTES = 2**16


class EngineLink:
    """Forward data between a new socket and the socket of an engine."""

    def __init__(self, path: Path, engine: str) -> None:
        self.host = f"unix://{path}"
        self._engine = engine
        self._ends: list[socket.socket] = []
        self._is_open = threading.Event()
        self._is_open.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close all connections and refuse new ones."""
        for end in [self._listening, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def hold(self) -> None:
        """Let new connections wait, as with socket activation."""
        self._is_open.clear()

    def resume(self) -> None:
        """Forward the waiting connections."""
        self._is_open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                self._is_open.wait()
                engine = socket.socket(socket.AF_UNIX)
                self._ends += [client, engine]
                engine.connect(self._engine)
                for ends in ((client, engine), (engine, client)):
                    threading.Thread(target=_forward, args=ends, daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def linked(folder: Path, host: str | None = None) -> Iterator[EngineLink]:
    """Yield a link to an engine, by default the shared one."""
    if host is None:
        host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    if not host.startswith("unix://"):
        pytest.skip(f"the engine does not run on this machine: {host}")
    link = EngineLink(folder / "engine", host.removeprefix("unix://"))
    try:
        yield link
    finally:
        link.resume()
        link.cut()
