"""What of the project's may go from an engine: with a client that has a few things."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from matrixci.engine.cleanup import Remains
from matrixci.engine.cleanup_plan import CellImage, CurrentRun, Scope
from matrixci.engine.image_references import Folder
from matrixci.reports.cleanup_text import phrase
from matrixci.util import process_identity as owner

LABEL, OWNER = "org.matrixci", "org.matrixci.owner"
ELSEWHERE = "another-machine/boot/1/1"
ALL = Scope(folder=None)


@pytest.fixture
def dead() -> str:
    """Return the owner's label of a process that has ended."""
    process = subprocess.Popen(["true"])
    label = owner.this_process().replace(f"/{os.getpid()}/", f"/{process.pid}/")
    process.wait()
    return label


@dataclass
class Thing:
    """A container or a volume."""

    name: str
    labels: dict[str, str]
    attrs: dict[str, Any]
    gone: Callable[[str], None]
    status: str = "running"

    @property
    def id(self) -> str:
        return self.name

    def remove(self, *, force: bool) -> None:
        assert force
        self.gone(self.name)


@dataclass
class Store:
    """Things of one kind."""

    things: dict[str, Thing] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def add(self, name: str, made_by: str | None = None, **attrs: object) -> None:
        kind = {LABEL: "cell"}
        labels = kind if made_by is None else {**kind, OWNER: made_by}
        status = str(attrs.pop("status", "running"))
        attrs = {"Mounts": [], "Labels": labels, **attrs}
        self.things[name] = Thing(name, labels, attrs, self.removed.append, status)

    def list(self, *, filters: dict[str, str], **_: object) -> list[Thing]:
        return [thing for thing in self.things.values() if filters["label"] in thing.labels]


@dataclass
class Client:
    """An engine's client, as far as it is asked."""

    containers: Store = field(default_factory=Store)
    volumes: Store = field(default_factory=Store)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed_images: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)

    def add_image(self, name: str, created: str = "2026-11-22T01:00:00Z", **more: object) -> None:
        labels = {LABEL: str(more.pop("kind", "image"))}
        self.found[name] = {
            "Id": name,
            "Created": created,
            "RepoTags": [],
            "Config": {"Labels": labels},
            **more,
        }

    @property
    def api(self) -> "Client":
        return self

    def images(self, *, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert filters == {"label": LABEL}
        return list(self.found.values())

    def inspect_image(self, name: str) -> dict[str, Any]:
        if isinstance(error := self.fails.get(f"inspect {name}"), Exception):
            raise error
        return self.found[name]

    def remove_image(self, name: str, *, force: bool) -> None:
        assert force is (name in self.found)
        if name in self.fails:
            raise self.fails[name]
        self.removed_images.append(name)

    def remove_container(self, name: str, *, force: bool) -> None:
        self.containers.things[name].remove(force=force)

    def remove_volume(self, name: str, *, force: bool) -> None:
        self.volumes.things[name].remove(force=force)

    @property
    def removed(self) -> list[list[str]]:
        return [self.containers.removed, self.volumes.removed, self.removed_images]


def remains(client: Client) -> Remains:
    return Remains(client=client, label=LABEL)  # type: ignore[arg-type]


def conflict() -> APIError:
    return APIError("in use", type("Response", (), {"status_code": 409})())


def test_what_is_nobodys_and_what_a_dead_one_left_is_removed(dead: str) -> None:
    client = Client()
    client.containers.add("kept for a look", Image="one")
    client.containers.add("left", dead, Image="one", status="running")
    client.volumes.add("of the left", dead)
    client.volumes.add("of nobody")
    client.add_image("one", "2026-11-22T01:00:00Z")
    client.add_image("base", "2026-11-22T02:00:00Z", kind="base")

    assert phrase(remains(client).clean(ALL)) == "removed 2 containers, 2 volumes, 2 images"
    gone = [["kept for a look", "left"], ["of the left", "of nobody"], ["base", "one"]]
    assert client.removed == gone


def test_a_dry_run_removes_nothing(dead: str) -> None:
    client = Client()
    client.containers.add("left", dead, Image="one")
    client.add_image("one")
    plan = remains(client).clean(ALL, dry_run=True)
    assert phrase(plan, dry_run=True) == "would remove 1 container, 0 volumes, 1 image"
    assert client.removed == [[], [], []]


def test_what_a_living_run_stands_on_is_spared() -> None:
    client = Client()
    mounts = [{"Type": "volume", "Name": "anonymous"}, {"Type": "tmpfs"}]
    client.containers.add("alive", owner.this_process(), Image="used", Mounts=mounts)
    client.containers.add("just made", owner.this_process(), Image="used", status="created")
    client.volumes.add("its own", owner.this_process())
    client.volumes.add("anonymous")
    client.volumes.add("of nobody")
    client.add_image("used")
    client.add_image("unused")
    client.add_image("base", kind="base")

    assert phrase(remains(client).clean(ALL)) == (
        "removed 0 containers, 1 volume, 1 image; "
        "spared, for a run is under way with them: 2 containers, 2 volumes, 2 images"
    )
    assert client.removed == [[], ["of nobody"], ["unused"]]


def test_one_of_another_machine_is_spared_while_it_runs() -> None:
    client = Client()
    client.containers.add("runs", ELSEWHERE, Image="one")
    client.containers.add("ended", ELSEWHERE, Image="one", status="exited")
    said = phrase(remains(client).clean(ALL))
    assert said.startswith("removed 1 container, 0 volumes, 0 images; spared, ")
    assert client.containers.removed == ["ended"]


def test_an_image_that_came_into_use_meanwhile_is_spared() -> None:
    client = Client()
    for name in ("used", "gone", "plain", "vanished"):
        client.add_image(name)
    client.fails = {
        "used": conflict(),
        "gone": NotFound("gone"),
        "inspect vanished": NotFound("gone"),
    }
    assert phrase(remains(client).clean(ALL)) == (
        "removed 0 containers, 0 volumes, 2 images; "
        "spared, for a run is under way with them: 0 containers, 0 volumes, 1 image"
    )


def test_an_image_that_can_not_be_removed_is_told() -> None:
    client = Client()
    client.add_image("bad")
    client.fails = {"bad": APIError("server error")}
    with pytest.raises(APIError):
        remains(client).clean(ALL)


def test_images_that_a_run_replaced_go_name_by_name_and_are_counted() -> None:
    folder, keys = Folder.of(Path("/a")), ["a" * 20, "b" * 20]
    client = Client()
    refs = [f"{folder.repository}:cell.01234567.{key}" for key in keys]
    for key, ref in zip(keys, refs, strict=True):
        client.add_image(key, RepoTags=[f"matrixci/cell:{key}", ref])
    client.fails = {f"matrixci/cell:{keys[1]}": conflict()}
    run = CurrentRun(
        folder=folder,
        matrix="01234567",
        began=datetime(2026, 11, 23, tzinfo=UTC),
        cells=frozenset({"cell"}),
        images={"cell": CellImage(key="c" * 20, green=True)},
    )
    assert remains(client).remove_superseded(run) == 1
    # The other one is in use, and is still known by its reference.
    assert client.removed_images == [f"matrixci/cell:{keys[0]}", refs[0]]


def test_the_last_use_of_an_image_is_that_of_its_newest_name() -> None:
    client = Client()
    times = {"Metadata": {"LastTagTime": "2026-11-24T10:00:00.123456789+01:00"}}
    client.add_image("used", "2026-11-22T01:00:00Z", Size=5, **times)
    client.add_image("built", "2026-11-22T01:00:00.5Z", Metadata={"LastTagTime": "0001-01-01"})
    client.add_image("odd", "nonsense")
    used, built, odd = remains(client).inventory().images
    assert used.used == datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
    assert (used.size, used.kind) == (5, "image")
    assert built.used == datetime(2026, 11, 22, 1, 0, 0, 500000, tzinfo=UTC)
    assert odd.used.year == 1


def test_a_sweep_takes_what_dead_ones_left_and_nothing_else(dead: str) -> None:
    client = Client()
    for made_by in (dead, owner.this_process(), ELSEWHERE, None):
        client.containers.add(f"container {made_by}", made_by, Image="one")
        client.volumes.add(f"volume {made_by}", made_by)

    assert remains(client).sweep() == 2

    assert client.removed[:2] == [[f"container {dead}"], [f"volume {dead}"]]


def test_a_living_owner_is_no_dead_one(dead: str) -> None:
    for label, alive, gone in (
        (owner.this_process(), True, False),
        (dead, False, True),
        (ELSEWHERE, False, False),
        ("", False, False),
        ("nonsense", False, False),
    ):
        assert (owner.is_alive(label), owner.is_dead(label)) == (alive, gone)
