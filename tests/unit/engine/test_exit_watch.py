"""What ended a container, seen from an engine's events: by an engine of a few answers."""

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
from matrixci.engine import exit_watch as engine_watch
from matrixci.engine.exit_watch import ContainerWatch

OURS = "0123456789abcdef"
ANEW = "The container engine was started anew meanwhile, and ended the container."


def event(action: str, **attributes: str) -> dict[str, object]:
    return {"Type": "container", "Action": action, "Actor": {"Attributes": attributes}}


START, DIE = event("start"), event("die", exitCode="143")
KILL = event("kill", signal="15")


class _Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, _Handler)
        self.live: Sequence[Mapping[str, object]] = ()
        """What is told while it is followed, and then the stream stays open, or breaks."""
        self.remembered: Sequence[Mapping[str, object]] = ()
        self.breaks = False
        self.is_well = True
        self.asked: list[str] = []
        self.go = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing: who only looked whether somebody answers is gone by now."""


class _Handler(BaseHTTPRequestHandler):
    server: _Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if not self.server.is_well:
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
        for each in self.server.live if is_live else self.server.remembered:
            body = json.dumps(each).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        if not is_live:
            self.wfile.write(b"0\r\n\r\n")
        elif not self.server.breaks:
            self.server.go.wait(30)
        self.close_connection = True

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Watched:
    """An engine, and what a watch of a container of it tells."""

    engine: _Engine
    client: docker.DockerClient
    threads: list[threading.Thread] = field(default_factory=list)

    def foul(
        self,
        live: Sequence[Mapping[str, object]],
        *,
        breaks: bool = False,
        remembered: Sequence[Mapping[str, object]] = (),
    ) -> str | None:
        self.engine.live, self.engine.breaks, self.engine.remembered = live, breaks, remembered
        watch = ContainerWatch(self.client, OURS)
        try:
            if breaks:
                watch._thread.join(30)
            return watch.foul()
        finally:
            watch.close()
            assert not watch._thread.is_alive()


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


def test_an_end_of_its_own(watched: Watched) -> None:
    assert watched.foul([START, event("oom"), DIE]) is None
    (asked,) = watched.engine.asked
    filters: Any = json.loads(parse_qs(urlsplit(asked).query)["filters"][0])
    assert filters["container"] == [OURS]


def test_an_end_through_the_engine(watched: Watched) -> None:
    told = watched.foul([START, KILL, DIE])
    assert told == "The container was ended from outside, by signal 15 through the engine."


def test_an_engine_that_was_started_anew_does_not_remember_the_start(watched: Watched) -> None:
    assert watched.foul([START], breaks=True) == ANEW
    # It ends what it finds running as it comes up.
    assert watched.foul([START], breaks=True, remembered=[KILL, DIE]) == ANEW
    # And where the container had ended before, its status is what the new one read from its disk.
    assert watched.foul([START, DIE], breaks=True) == ANEW


def test_a_connection_that_broke_is_no_new_engine(watched: Watched) -> None:
    assert watched.foul([START], breaks=True, remembered=[START, DIE]) is None
    told = watched.foul([START], breaks=True, remembered=[START, KILL, DIE])
    assert told is not None
    assert "signal 15" in told


def test_an_engine_that_tells_nothing_of_the_end_is_the_same_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_watch, "_DIE_SECONDS", 0.1)
    assert watched.foul([START]) is None


def test_an_engine_that_is_not_well_is_told(watched: Watched) -> None:
    watched.engine.is_well = False
    with pytest.raises(APIError):
        watched.foul([], breaks=True)
