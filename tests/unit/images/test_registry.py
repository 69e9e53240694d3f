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
def test_a_repository_is_taken_as_the_engine_takes_it(text: str) -> None:
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
def test_what_is_no_repository_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"--registry ghcr\.io/owner/matrixci") as caught:
        repository_of(text)
    assert caught.value.exit_code is ExitCode.USAGE


# Pulling and pushing, with an engine and a docker command that are none


@dataclass
class FakeEngine:
    """An engine, its images with their labels, and its registry's."""

    there: dict[str, Mapping[str, str]] = field(default_factory=dict)
    standing: dict[str, Mapping[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: str = ""
    """Why the registry can't be asked."""
    lost: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)
    """The command of docker that fails, and what it says."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
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
        self.asked.append(name)
        if self.away:
            raise EngineError(self.away)
        return name in self.there

    async def labels(self, name: str) -> Mapping[str, str] | None:
        return self.standing.get(name)

    async def tag(self, name: str, other: str) -> None:
        self.standing[other] = self.standing[name]

    async def untag(self, name: str) -> None:
        self.standing.pop(name, None)

    async def run_process(self, argv: list[str], **_: object) -> Completed:
        self.begun.set()
        if self.slow:
            await asyncio.sleep(60)
        if told := self.refuses.get(argv[1]):
            return Completed(exit_status=1, stdout="", stderr=f"some layer: waiting\n{told}\n")
        if argv[1] == "pull":
            self.standing[argv[-1]] = self.there[argv[-1]]
        else:
            self.there[argv[-1]] = self.standing[argv[-1]]
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


def test_an_image_with_the_right_labels_gets_its_local_name(engine: FakeEngine) -> None:
    engine.there = {f"{HERE}:a": {**LABELS, "more": "1"}}
    assert pulled(engine, "a") == ([True], [])
    assert engine.standing["local/a"] == {**LABELS, "more": "1"}


def test_what_a_registry_lacks_is_said_once_and_the_rest_still_asked_for(
    engine: FakeEngine,
) -> None:
    engine.there = {f"{HERE}:c": LABELS}
    told = f"{HERE} lacks images of this run: they are built here"
    assert pulled(engine, "a", "b", "c") == ([False, False, True], [told])


@pytest.mark.parametrize("labels", [{}, {"org.matrixci.key": "other"}])
def test_an_image_with_other_labels_is_not_used(
    engine: FakeEngine, labels: Mapping[str, str]
) -> None:
    engine.there = {f"{HERE}:a": labels}
    told = f"{HERE}:a holds something else than its tag says: it is not used"
    assert pulled(engine, "a") == ([False], [told])
    assert engine.standing == {}


def test_a_registry_that_is_away_is_asked_and_told_once(engine: FakeEngine) -> None:
    engine.away = "dial tcp: connection refused"
    told = f"nothing is pulled from {HERE}, images are built here: dial tcp: connection refused"
    assert pulled(engine, "a", "b") == ([False, False], [told])
    assert engine.asked == [f"{HERE}:a"]


def test_an_engine_that_is_lost_is_no_fault_of_the_registry(engine: FakeEngine) -> None:
    engine.away, engine.lost = "connection aborted", True
    with pytest.raises(EngineError, match="lost"):
        pulled(engine, "a")


def test_a_pull_that_fails_is_told_and_the_image_is_built(engine: FakeEngine) -> None:
    engine.there = {f"{HERE}:a": LABELS}
    engine.refuses = {"pull": "Error response from daemon: unexpected EOF"}
    told = f"nothing is pulled from {HERE}, images are built here: unexpected EOF"
    assert pulled(engine, "a", "a") == ([False, False], [told])


def test_images_are_pushed_under_their_tags(engine: FakeEngine) -> None:
    engine.standing = {"local/a": LABELS, "local/b": {}}
    assert pushed(engine, "a", "b") == []
    assert engine.there == {f"{HERE}:a": LABELS, f"{HERE}:b": {}}


def test_a_push_that_is_refused_is_told_once_and_how_to_be_let_in(engine: FakeEngine) -> None:
    engine.standing = {"local/a": LABELS, "local/b": LABELS}
    engine.refuses = {"push": "denied: permission_denied: write_package"}
    (told,) = pushed(engine, "a", "b")
    assert told.startswith(f"nothing is pushed to {HERE}: denied: ")
    assert told.endswith(" (docker login registry.example:5000)")
    assert set(engine.standing) == {"local/a", "local/b"}  # no name is left for nothing


def test_what_is_being_pushed_can_be_broken_off(engine: FakeEngine) -> None:
    engine.standing, engine.slow = {"local/a": LABELS}, True
    here, said = shared(engine)

    async def push() -> None:
        here.push("local/a", "a")
        await engine.begun.wait()
        await here.close()

    asyncio.run(asyncio.wait_for(push(), 10))
    assert (engine.there, said) == ({}, [])
