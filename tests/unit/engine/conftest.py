"""A fake engine behind a socket, fake programs on PATH, and connections to them."""

import asyncio
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from matrixci.engine.client import Engine
from matrixci.errors import EngineError, ExitCode
from matrixci.model import EngineFacts

INFO = {
    "ServerVersion": "26.1.5",
    "Architecture": "x86_64",
    "NCPU": 2,
    "MemTotal": 2**34,
    "Driver": "overlay2",
}


class _Server(socketserver.ThreadingUnixStreamServer):
    answers: Mapping[str, tuple[int, object]]
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client that only probes the socket disconnects at once."""


class _Handler(BaseHTTPRequestHandler):
    @property
    def engine(self) -> _Server:
        assert isinstance(self.server, _Server)
        return self.server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        status, answer = self.engine.answers.get(name, (404, {"message": "no such page"}))
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return a function that starts a fake engine and returns its address."""
    servers: list[tuple[_Server, threading.Thread]] = []

    def start(
        release: str = "26.1.5",
        info: Mapping[str, object] | None = None,
        **answers: tuple[int, object],
    ) -> str:
        path = tmp_path / f"engine{len(servers)}.sock"
        server = _Server(str(path), _Handler)
        about = {"Version": release, "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
        described = {**INFO, **(info or {})}
        server.answers = {"version": (200, about), "info": (200, described), **answers}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"unix://{path}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that adds a program to PATH, which contains nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return add


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], EngineFacts]:
    """Return a function that connects to an engine and returns its description."""

    def connect(host: str) -> EngineFacts:
        monkeypatch.setenv("DOCKER_HOST", host)

        async def facts() -> EngineFacts:
            engine = await Engine.connect()
            engine.close()
            return engine.facts

        return asyncio.run(facts())

    return connect


@pytest.fixture
def refused(connected: Callable[[str], EngineFacts]) -> Callable[[str], list[str]]:
    """Return a function that fails to connect, and returns the lines of the message."""

    def connect(host: str) -> list[str]:
        with pytest.raises(EngineError) as caught:
            connected(host)
        assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
        return str(caught.value).splitlines()

    return connect
