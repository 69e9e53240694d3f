"""The life of one container, with a fake client that records its calls."""

import asyncio
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from matrixci.engine.container import ContainerRunner
from matrixci.engine.container_spec import ContainerSpec
from matrixci.errors import EngineError, LimitsError

OWNER = "org.matrixci.owner"
SPEC = ContainerSpec(
    image="image",
    command=("true",),
    labels={"org.matrixci.run": "r"},
    environment={},
    files=b"tar",
    results="results",
    memory=1,
    tmp_size=1,
    log_size=1000,
    result_size=1000,
    pids=1,
    cpus=1,
    time_limit=60,
    gpu=None,
)


@dataclass
class FakeContainer:
    """A container that ends at once."""

    options: Mapping[str, Any]
    fails: str | None
    calls: list[str]
    status: str = "exited"
    id: str = "0123456789abcdef"
    short_id: str = "0123456789ab"
    attrs: Mapping[str, Any] = field(
        default_factory=lambda: {"State": {"ExitCode": 0, "OOMKilled": False}}
    )

    def _do(self, what: str) -> None:
        self.calls.append(what)
        if self.fails == what:
            msg = f"{what} failed"
            raise APIError(msg)

    def put_archive(self, *_: object) -> None:
        self._do("put")

    def start(self) -> None:
        self._do("start")

    def reload(self) -> None:
        """Update the status; only a kill changes it."""
        if "kill" in self.calls:
            self.status = "exited"

    def kill(self) -> None:
        self._do("kill")

    def logs(
        self, *, stream: bool = False, follow: bool = False, **_: object
    ) -> Iterator[bytes] | bytes:
        if not stream:  # its last line
            self.calls.append("last line")
            return (
                b"printing %d" % len(self.calls) if self.calls.count("last line") < 9 else b"rest"
            )
        if follow:
            self._do("follow")
        return iter([b"one ", b"two\n"])

    def get_archive(self, _: str) -> tuple[Iterator[bytes], object]:
        msg = "nothing"
        raise NotFound(msg)

    def remove(self, *, force: bool) -> None:
        assert force
        self._do("remove")


@dataclass
class FakeClient:
    """A client that creates one volume and one container."""

    fails: str | None = None
    status: str = "exited"
    calls: list[str] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)
    name: str = "volume"
    warnings: Sequence[str] | None = None

    events_of: Sequence[Mapping[str, Any]] = ({"Action": "start"}, {"Action": "die"})

    def events(self, **_: object) -> "FakeEvents":
        return FakeEvents(self)

    @property
    def volumes(self) -> "FakeVolumes":
        return FakeVolumes(self)

    @property
    def containers(self) -> "FakeContainers":
        return FakeContainers(self)

    @property
    def api(self) -> "FakeApi":
        return FakeApi(self)


@dataclass
class FakeEvents:
    """A stream of past events that stays open until it is closed."""

    client: FakeClient
    closed: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        yield from self.client.events_of
        self.closed.wait(30)

    def close(self) -> None:
        self.closed.set()
        self.client.calls.append("close events")


@dataclass
class FakeVolumes:
    client: FakeClient
    name: str = "volume"

    def create(self, labels: Mapping[str, str]) -> "FakeVolumes":
        self.client.made["volume"] = labels
        return self

    def remove(self, *, force: bool) -> None:
        assert force
        self.client.calls.append("remove volume")


@dataclass
class FakeContainers:
    client: FakeClient

    def get(self, name: str) -> FakeContainer:
        assert name == FakeContainer.id
        return FakeContainer(
            options=self.client.made["container"],
            fails=self.client.fails,
            calls=self.client.calls,
            status=self.client.status,
        )


@dataclass
class FakeApi:
    """Creates a container, with the warnings of the client."""

    client: FakeClient

    def create_host_config(self, **options: object) -> Mapping[str, object]:
        return options

    def create_container(
        self, *_: object, host_config: Mapping[str, object], **options: object
    ) -> Mapping[str, object]:
        self.client.made["container"] = {**options, **host_config}
        return {"Id": FakeContainer.id, "Warnings": self.client.warnings}


def runner(client: FakeClient, unenforced: tuple[str, ...] = ()) -> ContainerRunner:
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}
    return ContainerRunner(client, environment, unenforced)  # type: ignore[arg-type]


def test_container_is_removed_after_its_end(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(runner(client).run(SPEC, tmp_path / "log"))
    assert client.calls == ["put", "start", "close events", "remove", "remove volume"]
    assert (end.exit_status, end.archive, end.kept) == (0, None, None)
    assert (tmp_path / "log").read_bytes() == b"one two\n"
    options = client.made["container"]
    assert (options["stdin_open"], options["tty"]) == (False, False)
    assert OWNER in options["labels"]
    assert OWNER in client.made["volume"]


def test_silent_container_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: real(0.001))
    client = FakeClient(status="running")
    spec = replace(SPEC, no_output_timeout=0.2, time_limit=30)

    end = asyncio.run(runner(client).run(spec, tmp_path / "log"))

    assert (end.silent, end.timed_out) == (True, False)
    assert client.calls.count("last line") > 9  # not killed while it printed
    assert [each for each in client.calls if each != "last line"][-4:] == [
        "kill",
        "close events",
        "remove",
        "remove volume",
    ]


def test_container_without_no_output_timeout_may_be_silent(tmp_path: Path) -> None:
    client = FakeClient(status="running")
    end = asyncio.run(runner(client).run(replace(SPEC, time_limit=0.4), tmp_path / "log"))
    assert (end.silent, end.timed_out) == (False, True)
    assert "last line" not in client.calls


KILLED = ({"Action": "start"}, {"Action": "kill"}, {"Action": "die"})


def test_kill_from_outside_is_an_engine_error(tmp_path: Path) -> None:
    client = FakeClient(events_of=KILLED)
    with pytest.raises(EngineError, match="killed from outside"):
        asyncio.run(runner(client).run(SPEC, tmp_path / "log"))
    assert client.calls[-3:] == ["close events", "remove", "remove volume"]


def test_kill_at_the_time_limit_is_a_timeout(tmp_path: Path) -> None:
    client = FakeClient(events_of=KILLED, status="running")
    end = asyncio.run(runner(client).run(replace(SPEC, time_limit=0.4), tmp_path / "log"))
    assert end.timed_out


def test_output_is_followed(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    asyncio.run(runner(FakeClient()).run(SPEC, tmp_path / "log", pieces.append))
    assert pieces == [b"one ", b"two\n"]


def test_output_is_logged_even_if_following_fails(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    client = FakeClient(fails="follow")
    end = asyncio.run(runner(client).run(SPEC, tmp_path / "log", pieces.append))
    assert (end.exit_status, pieces) == (0, [])
    assert (tmp_path / "log").read_bytes() == b"one two\n"


@pytest.mark.parametrize("fails", ["put", "start"])
def test_failed_container_is_removed(tmp_path: Path, fails: str) -> None:
    client = FakeClient(fails=fails)
    with pytest.raises(EngineError, match=f"{fails} failed"):
        asyncio.run(runner(client).run(SPEC, tmp_path / "log"))
    assert client.calls[-2:] == ["remove", "remove volume"]


def test_kept_container_has_no_owner(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(runner(client).run(replace(SPEC, keep=True), tmp_path / "log"))
    assert end.kept == "0123456789ab"
    assert client.calls == ["put", "start", "close events"]
    labels = client.made["container"]["labels"]
    assert labels == {"org.matrixci": "cell", "org.matrixci.run": "r"}
    assert OWNER not in client.made["volume"]


def test_docker_command_attaches_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "docker"
    script.write_text('#!/bin/sh\necho "$DOCKER_HOST $*" > "$0.called"\nexit 7\n', encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    client = FakeClient()
    shell = replace(SPEC, interactive=True, terminal=True)
    assert asyncio.run(runner(client).attach(shell)) == 7
    call = (tmp_path / "docker.called").read_text(encoding="utf-8").split()
    assert call == [
        *("unix:///nowhere.sock", "start", "--attach", "--interactive", "0123456789abcdef"),
    ]
    assert client.calls == ["put", "remove", "remove volume"]
    options = client.made["container"]
    assert (options["stdin_open"], options["tty"]) == (True, True)


NO_PIDS = "Your kernel does not support PIDs limit capabilities. PIDs limit discarded."
NO_SWAP = "Your kernel does not support swap limit capabilities. Memory limited without swap."


def test_limit_dropped_at_creation_is_reported(tmp_path: Path) -> None:
    client = FakeClient(warnings=[NO_PIDS, NO_SWAP])
    end = asyncio.run(runner(client, ("swap",)).run(SPEC, tmp_path / "log"))
    assert end.unenforced == ("swap", "pids")


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("known", "warnings", "named"),
    [((), [NO_PIDS], "pids"), (("memory",), [], "memory")],
)
def test_container_is_not_started_without_required_limits(
    tmp_path: Path, known: tuple[str, ...], warnings: list[str], named: str, *, keep: bool
) -> None:
    client = FakeClient(warnings=warnings)
    spec = replace(SPEC, require_limits=True, keep=keep)
    with pytest.raises(LimitsError, match=f"does not enforce limits on {named}, and --require-l"):
        asyncio.run(runner(client, known).run(spec, tmp_path / "log"))
    assert client.calls == ["remove", "remove volume"]


def test_container_with_required_limits_is_started(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(runner(client).run(replace(SPEC, require_limits=True), tmp_path / "log"))
    assert end.unenforced == ()
    assert client.made["container"]["nano_cpus"] == 10**9


def test_cpu_limit_is_omitted_if_the_engine_cannot_enforce_it(tmp_path: Path) -> None:
    client = FakeClient()
    asyncio.run(runner(client, ("cpus",)).run(SPEC, tmp_path / "log"))
    assert client.made["container"]["nano_cpus"] is None
