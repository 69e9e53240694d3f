"""Detection of restarts and kills, with a fake engine that streams a few events."""

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from docker.errors import APIError

import docker
from matrixci.engine.exit_watch import ContainerWatch

OURS = "0123456789abcdef"
RESTARTED = "The container engine restarted and ended the container."


def event(action: str, **attributes: str) -> dict[str, object]:
    return {"Type": "container", "Action": action, "Actor": {"Attributes": attributes}}


START, DIE = event("start"), event("die", exitCode="143")
KILL = event("kill", signal="15")


class _Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.live: Sequence[Mapping[str, object]] = ()
        """Events that are streamed, after which the stream stays open or breaks."""
        self.remembered: Sequence[Mapping[str, object]] = ()
        self.breaks = False
        self.works = True
        self.requests: list[str] = []
        self.go = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client that only probes the socket disconnects at once."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def engine(self) -> _Engine:
        assert isinstance(self.server, _Engine)
        return self.server

    def do_GET(self) -> None:
        self.engine.requests.append(self.path)
        if not self.engine.works:
            self.send_error(500)
            return
        path = urlsplit(self.path)
        name = path.path.rpartition("/")[2]
        if name == "events":
            self._stream(is_live="until" not in parse_qs(path.query))
            return
        body = json.dumps({"SystemTime": "2026-11-22T04:10:31.922957737Z"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, *, is_live: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for each in self.engine.live if is_live else self.engine.remembered:
            body = json.dumps(each).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        if not is_live:
            self.wfile.write(b"0\r\n\r\n")
        elif not self.engine.breaks:
            self.engine.go.wait(30)
        self.close_connection = True

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@dataclass
class Watched:
    """A fake engine, and a watch of one of its containers."""

    engine: _Engine
    client: docker.DockerClient
    threads: list[threading.Thread] = field(default_factory=list)

    def interference(
        self,
        live: Sequence[Mapping[str, object]],
        *,
        breaks: bool = False,
        remembered: Sequence[Mapping[str, object]] = (),
        die_seconds: float = 10,
    ) -> str | None:
        self.engine.live, self.engine.breaks, self.engine.remembered = live, breaks, remembered
        watch = ContainerWatch(self.client, OURS, die_seconds=die_seconds)
        name = f"events of {OURS}"
        threads = [each for each in threading.enumerate() if each.name == name]
        try:
            if breaks:
                for thread in threads:
                    thread.join(30)
            return watch.interference()
        finally:
            watch.close()
            assert name not in {each.name for each in threading.enumerate()}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    path = tmp_path / "engine.sock"
    with _Engine(str(path)) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = docker.DockerClient(base_url=f"unix://{path}", version="1.45")
        try:
            yield Watched(engine, client)
        finally:
            engine.go.set()
            client.close()
            engine.shutdown()
            thread.join()


def test_container_exits_by_itself(watched: Watched) -> None:
    assert watched.interference([START, event("oom"), DIE]) is None
    (request,) = watched.engine.requests
    filters: Any = json.loads(parse_qs(urlsplit(request).query)["filters"][0])
    assert filters["container"] == [OURS]


def test_kill_through_the_engine(watched: Watched) -> None:
    cause = watched.interference([START, KILL, DIE])
    assert cause == "The container was killed from outside: the engine sent it signal 15."


def test_restarted_engine_does_not_remember_the_start(watched: Watched) -> None:
    assert watched.interference([START], breaks=True) == RESTARTED
    # At its start it ends the containers that it finds running.
    assert watched.interference([START], breaks=True, remembered=[KILL, DIE]) == RESTARTED
    # Even if the container ended before: the new engine read its status from disk.
    assert watched.interference([START, DIE], breaks=True) == RESTARTED


def test_broken_connection_is_no_restart(watched: Watched) -> None:
    assert watched.interference([START], breaks=True, remembered=[START, DIE]) is None
    cause = watched.interference([START], breaks=True, remembered=[START, KILL, DIE])
    assert cause is not None
    assert "signal 15" in cause


def test_missing_event_of_the_end_is_no_restart(watched: Watched) -> None:
    assert watched.interference([START], die_seconds=0.1) is None


def test_failing_engine_is_reported(watched: Watched) -> None:
    watched.engine.works = False
    with pytest.raises(APIError):
        watched.interference([], breaks=True)
