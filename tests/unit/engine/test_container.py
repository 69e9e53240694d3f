"""One container's life, with a client that keeps what it is asked for."""

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
from factories import an_engine

from matrixci.engine.client import ContainerSpec, Engine
from matrixci.engine.limits import dropped_limits
from matrixci.errors import EngineError, LimitsError
from matrixci.model import EngineFacts

OWNER = "org.matrixci.owner"
FACTS = an_engine()
SPEC = ContainerSpec(
    image="image",
    command=("true",),
    labels={"org.matrixci.run": "r"},
    environment={},
    files=b"tar",
    results="results",
    memory=1,
    scratch=1,
    log=1000,
    result=1000,
    pids=1,
    cpus=1,
    time_limit=60,
    gpu=None,
)


@dataclass
class FakeContainer:
    """Ends at once."""

    options: Mapping[str, Any]
    fails: str | None
    asked: list[str]
    status: str = "exited"
    id: str = "0123456789abcdef"
    short_id: str = "0123456789ab"
    attrs: Mapping[str, Any] = field(
        default_factory=lambda: {"State": {"ExitCode": 0, "OOMKilled": False}}
    )

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if self.fails == what:
            msg = f"{what} failed"
            raise APIError(msg)

    def put_archive(self, *_: object) -> None:
        self._do("put")

    def start(self) -> None:
        self._do("start")

    def reload(self) -> None:
        """Nothing changes, unless it is killed."""
        if "kill" in self.asked:
            self.status = "exited"

    def kill(self) -> None:
        self._do("kill")

    def logs(
        self, *, stream: bool = False, follow: bool = False, **_: object
    ) -> Iterator[bytes] | bytes:
        if not stream:  # its last line
            self.asked.append("last line")
            return b"talking %d" % len(self.asked) if self.asked.count("last line") < 9 else b"rest"
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
    """Makes one volume and one container, and is what makes them, too."""

    fails: str | None = None
    status: str = "exited"
    asked: list[str] = field(default_factory=list)
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
    """Tells what there was, and goes on until it is closed."""

    client: FakeClient
    closed: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        yield from self.client.events_of
        self.closed.wait(30)

    def close(self) -> None:
        self.closed.set()
        self.client.asked.append("close events")


@dataclass
class FakeVolumes:
    client: FakeClient
    name: str = "volume"

    def create(self, labels: Mapping[str, str]) -> "FakeVolumes":
        self.client.made["volume"] = labels
        return self

    def remove(self, *, force: bool) -> None:
        assert force
        self.client.asked.append("remove volume")


@dataclass
class FakeContainers:
    client: FakeClient

    def get(self, name: str) -> FakeContainer:
        assert name == FakeContainer.id
        return FakeContainer(
            options=self.client.made["container"],
            fails=self.client.fails,
            asked=self.client.asked,
            status=self.client.status,
        )


@dataclass
class FakeApi:
    """Creates a container, and warns as it is told to."""

    client: FakeClient

    def create_host_config(self, **options: object) -> Mapping[str, object]:
        return options

    def create_container(
        self, *_: object, host_config: Mapping[str, object], **options: object
    ) -> Mapping[str, object]:
        self.client.made["container"] = {**options, **host_config}
        return {"Id": FakeContainer.id, "Warnings": self.client.warnings}


def engine(client: FakeClient, facts: EngineFacts = FACTS) -> Engine:
    return Engine(client, "unix:///nowhere.sock", facts)  # type: ignore[arg-type]


def test_a_container_is_gone_after_its_end(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(engine(client).run(SPEC, tmp_path / "log"))
    assert client.asked == ["put", "start", "close events", "remove", "remove volume"]
    assert (end.exit_status, end.archive, end.kept) == (0, None, None)
    assert (tmp_path / "log").read_bytes() == b"one two\n"
    options = client.made["container"]
    assert (options["stdin_open"], options["tty"]) == (False, False)
    assert OWNER in options["labels"]
    assert OWNER in client.made["volume"]


def test_one_that_is_silent_for_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: real(0.001))
    client = FakeClient(status="running")
    spec = replace(SPEC, silence=0.2, time_limit=30)

    end = asyncio.run(engine(client).run(spec, tmp_path / "log"))

    assert (end.silent, end.timed_out) == (True, False)
    assert client.asked.count("last line") > 9  # it was heard for as long as it talked
    assert [each for each in client.asked if each != "last line"][-4:] == [
        "kill",
        "close events",
        "remove",
        "remove volume",
    ]


def test_one_that_may_be_silent_has_its_time(tmp_path: Path) -> None:
    client = FakeClient(status="running")
    end = asyncio.run(engine(client).run(replace(SPEC, time_limit=0.4), tmp_path / "log"))
    assert (end.silent, end.timed_out) == (False, True)
    assert "last line" not in client.asked


KILLED = ({"Action": "start"}, {"Action": "kill"}, {"Action": "die"})


def test_one_that_someone_else_ended_says_nothing_of_its_subject(tmp_path: Path) -> None:
    client = FakeClient(events_of=KILLED)
    with pytest.raises(EngineError, match="ended from outside"):
        asyncio.run(engine(client).run(SPEC, tmp_path / "log"))
    assert client.asked[-3:] == ["close events", "remove", "remove volume"]


def test_one_that_we_ended_ourselves_had_its_time(tmp_path: Path) -> None:
    client = FakeClient(events_of=KILLED, status="running")
    end = asyncio.run(engine(client).run(replace(SPEC, time_limit=0.4), tmp_path / "log"))
    assert end.timed_out


def test_its_output_is_followed(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    asyncio.run(engine(FakeClient()).run(SPEC, tmp_path / "log", pieces.append))
    assert pieces == [b"one ", b"two\n"]


def test_an_output_that_can_not_be_followed_is_in_the_log(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    client = FakeClient(fails="follow")
    end = asyncio.run(engine(client).run(SPEC, tmp_path / "log", pieces.append))
    assert (end.exit_status, pieces) == (0, [])
    assert (tmp_path / "log").read_bytes() == b"one two\n"


@pytest.mark.parametrize("fails", ["put", "start"])
def test_nothing_is_left_of_one_that_fails(tmp_path: Path, fails: str) -> None:
    client = FakeClient(fails=fails)
    with pytest.raises(EngineError, match=f"{fails} failed"):
        asyncio.run(engine(client).run(SPEC, tmp_path / "log"))
    assert client.asked[-2:] == ["remove", "remove volume"]


def test_one_that_is_kept_belongs_to_nobody(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(engine(client).run(replace(SPEC, keep=True), tmp_path / "log"))
    assert end.kept == "0123456789ab"
    assert client.asked == ["put", "start", "close events"]
    labels = client.made["container"]["labels"]
    assert labels == {"org.matrixci": "cell", "org.matrixci.run": "r"}
    assert OWNER not in client.made["volume"]


def test_a_terminal_is_handed_over_to_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "docker"
    script.write_text('#!/bin/sh\necho "$DOCKER_HOST $*" > "$0.said"\nexit 7\n', encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    client = FakeClient()
    shell = replace(SPEC, interactive=True, terminal=True)
    assert asyncio.run(engine(client).attach(shell)) == 7
    said = (tmp_path / "docker.said").read_text(encoding="utf-8").split()
    assert said == [
        *("unix:///nowhere.sock", "start", "--attach", "--interactive", "0123456789abcdef"),
    ]
    assert client.asked == ["put", "remove", "remove volume"]
    options = client.made["container"]
    assert (options["stdin_open"], options["tty"]) == (True, True)


# Limits that the engine drops

NO_PIDS = (
    "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. "
    "PIDs limit discarded."
)
NO_SWAP = (
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
    "Memory limited without swap."
)
NO_MEMORY = (
    "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
    "Limitation discarded."
)
OTHER = "Your kernel does not support tickling. Limitation discarded."


@pytest.mark.parametrize(
    ("warnings", "limits"),
    [
        (None, ()),
        ([], ()),
        ([NO_PIDS, NO_MEMORY, NO_PIDS], ("pids", "memory")),
        ([NO_SWAP], ("swap",)),
        ([OTHER], (OTHER,)),
        (["Published ports are of no use with host network mode"], ()),
    ],
)
def test_warnings_name_the_limits_that_are_dropped(
    warnings: list[str] | None, limits: tuple[str, ...]
) -> None:
    assert dropped_limits(warnings) == limits


def test_a_limit_that_only_the_creation_of_a_container_drops_is_told(tmp_path: Path) -> None:
    client = FakeClient(warnings=[NO_PIDS, NO_SWAP])
    facts = an_engine(unenforced=("swap",))
    end = asyncio.run(engine(client, facts).run(SPEC, tmp_path / "log"))
    assert end.unenforced == ("swap", "pids")


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("known", "warnings", "named"),
    [((), [NO_PIDS], "pids"), (("memory",), [], "memory")],
)
def test_a_container_whose_limits_are_required_is_not_started_without(
    tmp_path: Path, known: tuple[str, ...], warnings: list[str], named: str, *, keep: bool
) -> None:
    client = FakeClient(warnings=warnings)
    spec = replace(SPEC, require_limits=True, keep=keep)
    with pytest.raises(LimitsError, match=f"does not enforce limits on {named}, and --require-l"):
        asyncio.run(engine(client, an_engine(unenforced=known)).run(spec, tmp_path / "log"))
    assert client.asked == ["remove", "remove volume"]


def test_a_container_that_has_its_limits_is_started(tmp_path: Path) -> None:
    client = FakeClient()
    end = asyncio.run(engine(client).run(replace(SPEC, require_limits=True), tmp_path / "log"))
    assert end.unenforced == ()
    assert client.made["container"]["nano_cpus"] == 10**9


def test_a_limit_that_would_be_refused_is_not_asked_for(tmp_path: Path) -> None:
    client = FakeClient()
    asyncio.run(engine(client, an_engine(unenforced=("cpus",))).run(SPEC, tmp_path / "log"))
    assert client.made["container"]["nano_cpus"] is None
