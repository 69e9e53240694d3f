"""A link to an engine that a test can cut, or hold up."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from engine_state import docker

_PIECE_BYTES = 2**16


class EngineLink:
    """Hands everything between a socket of its own and the engine's to and fro."""

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
        """Be gone, for those who are connected and for those who come."""
        for end in [self._listening, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def hold(self) -> None:
        """Let those who come wait, as an init does that holds the socket of an engine."""
        self._is_open.clear()

    def go_on(self) -> None:
        """Let those who wait reach the engine."""
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
                    threading.Thread(target=_hand_over, args=ends, daemon=True).start()


def _hand_over(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def linked(folder: Path, host: str | None = None) -> Iterator[EngineLink]:
    """Yield a link to an engine, the one that all use unless another is named."""
    if host is None:
        host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
    if not host.startswith("unix://"):
        pytest.skip(f"the engine is not of this machine: {host}")
    link = EngineLink(folder / "engine", host.removeprefix("unix://"))
    try:
        yield link
    finally:
        link.go_on()
        link.cut()
