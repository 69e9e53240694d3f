"""What of the project's may go from an engine: with a client that has a few things."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from matrixci import owner
from matrixci.engine_remains import Remains

LABEL, OWNER = "org.matrixci", "org.matrixci.owner"
ELSEWHERE = "another-machine/boot/1/1"


@pytest.fixture
def dead() -> str:
    """Return the owner's label of a process that has ended."""
    process = subprocess.Popen(["true"])
    label = owner.this_process().replace(f"/{os.getpid()}/", f"/{process.pid}/")
    process.wait()
    return label


@dataclass
class Thing:
    """A container, a volume or an image."""

    name: str
    labels: dict[str, str]
    attrs: dict[str, Any]
    store: "Store"
    status: str = "running"

    @property
    def id(self) -> str:
        return self.name

    def remove(self, *, force: bool) -> None:
        assert force
        self.store.remove(self.name, force=force)


@dataclass
class Store:
    """Things of one kind."""

    things: dict[str, Thing] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)

    def add(self, name: str, made_by: str | None = None, **attrs: object) -> Thing:
        kind = {LABEL: str(attrs.pop("kind", "cell"))}
        labels = kind if made_by is None else {**kind, OWNER: made_by}
        status = str(attrs.pop("status", "running"))
        attrs.setdefault("Mounts", [])
        self.things[name] = Thing(name, labels, {"Labels": labels, **attrs}, self, status)
        return self.things[name]

    def list(self, *, filters: dict[str, str], **_: object) -> list[Thing]:
        return [thing for thing in self.things.values() if filters["label"] in thing.labels]

    def remove(self, name: str, *, force: bool) -> None:
        assert force
        if name in self.fails:
            raise self.fails[name]
        self.removed.append(name)


@dataclass
class Client:
    containers: Store = field(default_factory=Store)
    volumes: Store = field(default_factory=Store)
    images: Store = field(default_factory=Store)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield what was removed, kind by kind."""
        yield from (self.containers.removed, self.volumes.removed, self.images.removed)


def remains(client: Client) -> Remains:
    return Remains(client=client, label=LABEL, owner=OWNER)  # type: ignore[arg-type]


def test_what_is_nobodys_and_what_a_dead_one_left_is_removed(dead: str) -> None:
    client = Client()
    client.containers.add("kept for a look", Image="one")
    client.containers.add("left", dead, Image="one", status="running")
    client.volumes.add("of the left", dead)
    client.volumes.add("of nobody")
    client.images.add("one", Created="1", kind="image")
    client.images.add("base", Created="0", kind="base")

    said = remains(client).clean(everything=False)

    assert said == "removed 2 containers, 2 volumes, 1 image"
    assert list(client) == [["kept for a look", "left"], ["of the left", "of nobody"], ["one"]]


def test_what_a_living_run_stands_on_is_spared() -> None:
    client = Client()
    mounts = [{"Type": "volume", "Name": "anonymous"}, {"Type": "tmpfs"}]
    client.containers.add("alive", owner.this_process(), Image="used", Mounts=mounts)
    client.containers.add("just made", owner.this_process(), Image="used", status="created")
    client.volumes.add("its own", owner.this_process())
    client.volumes.add("anonymous")
    client.volumes.add("of nobody")
    client.images.add("used", Created="1", kind="image")
    client.images.add("unused", Created="2", kind="image")
    client.images.add("base", Created="0", kind="base")

    said = remains(client).clean(everything=True)

    assert said == (
        "removed 0 containers, 1 volume, 1 image; "
        "spared, for a run is under way with them: 2 containers, 2 volumes, 2 images"
    )
    assert list(client) == [[], ["of nobody"], ["unused"]]


def test_one_of_another_machine_is_spared_while_it_runs() -> None:
    client = Client()
    client.containers.add("runs", ELSEWHERE, Image="one")
    client.containers.add("ended", ELSEWHERE, Image="one", status="exited")

    said = remains(client).clean(everything=False)

    assert said.startswith("removed 1 container, 0 volumes, 0 images; spared, ")
    assert client.containers.removed == ["ended"]


def test_with_all_the_bases_go_after_what_is_made_from_them() -> None:
    client = Client()
    client.images.add("base", Created="2026-11-22T01:00:00Z", kind="base")
    client.images.add("cell", Created="2026-11-22T02:00:00Z", kind="image")
    assert remains(client).clean(everything=True) == "removed 0 containers, 0 volumes, 2 images"
    assert client.images.removed == ["cell", "base"]


def test_an_image_that_came_into_use_meanwhile_is_spared() -> None:
    client = Client()
    for name in ("used", "gone", "plain"):
        client.images.add(name, Created="1", kind="image")
    response = type("Response", (), {"status_code": 409})()
    client.images.fails = {"used": APIError("in use", response), "gone": NotFound("gone")}
    assert remains(client).clean(everything=False) == (
        "removed 0 containers, 0 volumes, 2 images; "
        "spared, for a run is under way with them: 0 containers, 0 volumes, 1 image"
    )


def test_an_image_that_can_not_be_removed_is_told() -> None:
    client = Client()
    client.images.add("bad", Created="1", kind="image")
    client.images.fails = {"bad": APIError("server error")}
    with pytest.raises(APIError):
        remains(client).clean(everything=False)


def test_a_sweep_takes_what_dead_ones_left_and_nothing_else(dead: str) -> None:
    client = Client()
    for made_by in (dead, owner.this_process(), ELSEWHERE, None):
        client.containers.add(f"container {made_by}", made_by, Image="one")
        client.volumes.add(f"volume {made_by}", made_by)

    assert remains(client).sweep() == 2

    assert list(client)[:2] == [[f"container {dead}"], [f"volume {dead}"]]


def test_a_living_owner_is_no_dead_one(dead: str) -> None:
    for label, alive, gone in (
        (owner.this_process(), True, False),
        (dead, False, True),
        (ELSEWHERE, False, False),
        ("", False, False),
        ("nonsense", False, False),
    ):
        assert (owner.is_alive(label), owner.is_dead(label)) == (alive, gone)
