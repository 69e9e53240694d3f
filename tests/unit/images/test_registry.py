import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from matrixci.errors import EngineError, ExitCode, UsageError
from matrixci.images import registry
from matrixci.images.registry import Registry, repository_of
from matrixci.util.subprocesses import Completed

HERE = "registry.example:5000/owner/toy"
LABELS = {"org.matrixci.key": "abc"}


# The setting


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io/owner/matrixci",
        "localhost/toy",
        "localhost:5000/toy",
        "127.0.0.1:5000/a/b-c/d_e/f__g.h",
        "registry:5000/toy",
        "Registry.Example/toy",
    ],
)
def test_repository_is_accepted_as_by_the_engine(text: str) -> None:
    assert repository_of(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "toy",
        "owner/toy",
        "ghcr.io",
        "ghcr.io/",
        "ghcr.io/Owner/toy",
        "ghcr.io/owner/toy:latest",
        "ghcr.io/owner/toy@sha256:00",
        "https://ghcr.io/owner/toy",
        "user:password@ghcr.io/owner/toy",
        "ghcr.io/owner//toy",
        "ghcr.io/owner/toy\n",
        "--flag.io/owner",
    ],
)
def test_invalid_repository_is_reported(text: str) -> None:
    with pytest.raises(UsageError, match=r"--registry ghcr\.io/owner/matrixci") as caught:
        repository_of(text)
    assert caught.value.exit_code is ExitCode.USAGE


# Pulling and pushing, with a fake engine and a fake docker command


@dataclass
class FakeEngine:
    """The images of an engine and of its registry, with their labels."""

    remote: dict[str, Mapping[str, str]] = field(default_factory=dict)
    local: dict[str, Mapping[str, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unreachable: str = ""
    """Why the registry is unreachable."""
    lost: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Docker command to the error that it prints."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    slow: bool = False

    @property
    def images(self) -> "FakeEngine":
        return self

    def environment(self) -> dict[str, str]:
        return {}

    async def ping(self) -> None:
        if self.lost:
            msg = "lost"
            raise EngineError(msg)

    async def is_in_registry(self, name: str) -> bool:
        self.requests.append(name)
        if self.unreachable:
            raise EngineError(self.unreachable)
        return name in self.remote

    async def labels(self, name: str) -> Mapping[str, str] | None:
        return self.local.get(name)

    async def tag(self, name: str, other: str) -> None:
        self.local[other] = self.local[name]

    async def untag(self, name: str) -> None:
        self.local.pop(name, None)

    async def run_process(self, argv: list[str], **_: object) -> Completed:
        self.started.set()
        if self.slow:
            await asyncio.sleep(60)
        if error := self.refuses.get(argv[1]):
            return Completed(exit_status=1, stdout="", stderr=f"some layer: waiting\n{error}\n")
        if argv[1] == "pull":
            self.local[argv[-1]] = self.remote[argv[-1]]
        else:
            self.remote[argv[-1]] = self.local[argv[-1]]
        return Completed(exit_status=0, stdout="", stderr="")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine()
    monkeypatch.setattr(registry, "run_process", engine.run_process)
    return engine


def shared(engine: FakeEngine) -> tuple[Registry, list[str]]:
    said: list[str] = []
    return Registry(engine, HERE, 60, said.append), said  # type: ignore[arg-type]


def pulled(engine: FakeEngine, *tags: str) -> tuple[list[bool], list[str]]:
    here, said = shared(engine)

    async def pull() -> list[bool]:
        return [await here.pull(tag, f"local/{tag}", LABELS) for tag in tags]

    return asyncio.run(pull()), said


def pushed(engine: FakeEngine, *tags: str) -> list[str]:
    here, said = shared(engine)

    async def push() -> None:
        for tag in tags:
            here.push(f"local/{tag}", tag)
        await here.finish()

    asyncio.run(push())
    return [line for line in said if not line.startswith("pushing images")]


def test_image_with_the_expected_labels_gets_its_local_name(engine: FakeEngine) -> None:
    engine.remote = {f"{HERE}:a": {**LABELS, "more": "1"}}
    assert pulled(engine, "a") == ([True], [])
    assert engine.local["local/a"] == {**LABELS, "more": "1"}


def test_missing_image_is_reported_once_and_others_are_pulled(
    engine: FakeEngine,
) -> None:
    engine.remote = {f"{HERE}:c": LABELS}
    message = f"{HERE} lacks images of this run; building them here"
    assert pulled(engine, "a", "b", "c") == ([False, False, True], [message])


@pytest.mark.parametrize("labels", [{}, {"org.matrixci.key": "other"}])
def test_image_with_other_labels_is_ignored(engine: FakeEngine, labels: Mapping[str, str]) -> None:
    engine.remote = {f"{HERE}:a": labels}
    message = f"{HERE}:a does not carry the expected labels; ignoring it"
    assert pulled(engine, "a") == ([False], [message])
    assert engine.local == {}


def test_unreachable_registry_is_reported_once(engine: FakeEngine) -> None:
    engine.unreachable = "dial tcp: connection refused"
    message = f"cannot pull from {HERE}, building images here: dial tcp: connection refused"
    assert pulled(engine, "a", "b") == ([False, False], [message])
    assert engine.requests == [f"{HERE}:a"]


def test_engine_failure_is_not_put_down_to_the_registry(engine: FakeEngine) -> None:
    engine.unreachable, engine.lost = "connection aborted", True
    with pytest.raises(EngineError, match="lost"):
        pulled(engine, "a")


def test_failed_pull_is_reported_once(engine: FakeEngine) -> None:
    engine.remote = {f"{HERE}:a": LABELS}
    engine.refuses = {"pull": "Error response from daemon: unexpected EOF"}
    message = f"cannot pull from {HERE}, building images here: unexpected EOF"
    assert pulled(engine, "a", "a") == ([False, False], [message])


def test_images_are_pushed_under_their_tags(engine: FakeEngine) -> None:
    engine.local = {"local/a": LABELS, "local/b": {}}
    assert pushed(engine, "a", "b") == []
    assert engine.remote == {f"{HERE}:a": LABELS, f"{HERE}:b": {}}


def test_refused_push_is_reported_once_with_a_hint(engine: FakeEngine) -> None:
    engine.local = {"local/a": LABELS, "local/b": LABELS}
    engine.refuses = {"push": "denied: permission_denied: write_package"}
    (message,) = pushed(engine, "a", "b")
    assert message.startswith(f"cannot push to {HERE}: denied: ")
    assert message.endswith(" (docker login registry.example:5000)")
    assert set(engine.local) == {"local/a", "local/b"}  # no unused name is left


def test_push_can_be_interrupted(engine: FakeEngine) -> None:
    engine.local, engine.slow = {"local/a": LABELS}, True
    here, said = shared(engine)

    async def push() -> None:
        here.push("local/a", "a")
        await engine.started.wait()
        await here.close()

    asyncio.run(asyncio.wait_for(push(), 10))
    assert (engine.remote, said) == ({}, [])
