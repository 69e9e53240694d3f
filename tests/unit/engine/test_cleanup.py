"""Cleanup with a fake client that has a few containers, volumes and images."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from matrixci.engine.cleanup import EngineCleanup
from matrixci.engine.cleanup_plan import CellImage, CleanupPlan, CurrentRun, Scope
from matrixci.engine.image_references import WorkDirId
from matrixci.engine.inventory import InventoryReader
from matrixci.errors import EngineError
from matrixci.reports.cleanup_text import phrase
from matrixci.util import process_identity as owner

LABEL, OWNER = "org.matrixci", "org.matrixci.owner"
ELSEWHERE = "another-machine/boot/1/1"
ALL = Scope(work_dir=None)


@pytest.fixture
def dead() -> str:
    """Return the owner label of a process that has ended."""
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
    on_remove: Callable[[str], None]
    status: str = "running"

    @property
    def id(self) -> str:
        return self.name

    def remove(self, *, force: bool) -> None:
        assert force
        self.on_remove(self.name)


@dataclass
class Store:
    """Containers or volumes."""

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
    """A client with what the cleanup needs."""

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


def cleanup(client: Client) -> EngineCleanup:
    return EngineCleanup(client)  # type: ignore[arg-type]


def clean(client: Client, *, dry_run: bool = False) -> CleanupPlan:
    return asyncio.run(cleanup(client).clean(ALL, dry_run=dry_run))


def conflict() -> APIError:
    return APIError("in use", type("Response", (), {"status_code": 409})())


def test_leftovers_of_dead_processes_and_without_owner_are_removed(dead: str) -> None:
    client = Client()
    client.containers.add("kept", Image="one")
    client.containers.add("left", dead, Image="one", status="running")
    client.volumes.add("volume left", dead)
    client.volumes.add("unowned")
    client.add_image("one", "2026-11-22T01:00:00Z")
    client.add_image("base", "2026-11-22T02:00:00Z", kind="base")

    assert phrase(clean(client)) == "removed 2 containers, 2 volumes, 2 images"
    gone = [["kept", "left"], ["volume left", "unowned"], ["base", "one"]]
    assert client.removed == gone


def test_dry_run_removes_nothing(dead: str) -> None:
    client = Client()
    client.containers.add("left", dead, Image="one")
    client.add_image("one")
    plan = clean(client, dry_run=True)
    assert phrase(plan, dry_run=True) == "would remove 1 container, 0 volumes, 1 image"
    assert client.removed == [[], [], []]


def test_what_a_live_run_uses_is_kept() -> None:
    client = Client()
    mounts = [{"Type": "volume", "Name": "anonymous"}, {"Type": "tmpfs"}]
    client.containers.add("alive", owner.this_process(), Image="used", Mounts=mounts)
    client.containers.add("just created", owner.this_process(), Image="used", status="created")
    client.volumes.add("owned", owner.this_process())
    client.volumes.add("anonymous")
    client.volumes.add("unowned")
    client.add_image("used")
    client.add_image("unused")
    client.add_image("base", kind="base")

    assert phrase(clean(client)) == (
        "removed 0 containers, 1 volume, 1 image; "
        "kept 2 containers, 2 volumes, 2 images in use by a run"
    )
    assert client.removed == [[], ["unowned"], ["unused"]]


def test_running_container_of_another_machine_is_kept() -> None:
    client = Client()
    client.containers.add("runs", ELSEWHERE, Image="one")
    client.containers.add("ended", ELSEWHERE, Image="one", status="exited")
    said = phrase(clean(client))
    assert said.startswith("removed 1 container, 0 volumes, 0 images; kept ")
    assert client.containers.removed == ["ended"]


def test_image_in_use_by_now_is_kept() -> None:
    client = Client()
    for name in ("used", "gone", "plain", "vanished"):
        client.add_image(name)
    client.fails = {
        "used": conflict(),
        "gone": NotFound("gone"),
        "inspect vanished": NotFound("gone"),
    }
    assert phrase(clean(client)) == (
        "removed 0 containers, 0 volumes, 2 images; "
        "kept 0 containers, 0 volumes, 1 image in use by a run"
    )


def test_failure_to_remove_an_image_is_an_engine_error() -> None:
    client = Client()
    client.add_image("bad")
    client.fails = {"bad": APIError("server error")}
    with pytest.raises(EngineError, match="server error"):
        clean(client)


def test_superseded_images_are_removed_name_by_name() -> None:
    work_dir, keys = WorkDirId.of(Path("/a")), ["a" * 20, "b" * 20]
    client = Client()
    refs = [f"{work_dir.repository}:cell.01234567.{key}" for key in keys]
    for key, ref in zip(keys, refs, strict=True):
        client.add_image(key, RepoTags=[f"matrixci/cell:{key}", ref])
    client.fails = {f"matrixci/cell:{keys[1]}": conflict()}
    run = CurrentRun(
        work_dir=work_dir,
        matrix="01234567",
        began=datetime(2026, 11, 23, tzinfo=UTC),
        cells=frozenset({"cell"}),
        images={"cell": CellImage(key="c" * 20, green=True)},
    )
    assert asyncio.run(cleanup(client).remove_superseded(run)) == 1
    # The other image is in use, and keeps its reference.
    assert client.removed_images == [f"matrixci/cell:{keys[0]}", refs[0]]


def test_last_use_of_an_image_is_the_time_of_its_newest_tag() -> None:
    client = Client()
    times = {"Metadata": {"LastTagTime": "2026-11-24T10:00:00.123456789+01:00"}}
    client.add_image("used", "2026-11-22T01:00:00Z", Size=5, **times)
    client.add_image("built", "2026-11-22T01:00:00.5Z", Metadata={"LastTagTime": "0001-01-01"})
    client.add_image("odd", "nonsense")
    found = InventoryReader(client).read()  # type: ignore[arg-type]
    used, built, odd = found.images
    assert used.used == datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
    assert (used.size, used.kind) == (5, "image")
    assert built.used == datetime(2026, 11, 22, 1, 0, 0, 500000, tzinfo=UTC)
    assert odd.used.year == 1


def test_sweep_removes_only_leftovers_of_dead_processes(dead: str) -> None:
    client = Client()
    for made_by in (dead, owner.this_process(), ELSEWHERE, None):
        client.containers.add(f"container {made_by}", made_by, Image="one")
        client.volumes.add(f"volume {made_by}", made_by)

    assert asyncio.run(cleanup(client).sweep()) == 2

    assert client.removed[:2] == [[f"container {dead}"], [f"volume {dead}"]]
