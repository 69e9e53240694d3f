import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matrixci.engine.client import Engine
from matrixci.engine.disk import free_bytes, parse_df
from matrixci.errors import DiskFullError, EngineError, ExitCode
from matrixci.execution.preflight import make_sure_of_room

GIB = 2**30
DF = """\
Filesystem        1-blocks        Used  Available Capacity Mounted on
overlay       270553174016 89000000000 21474836480      81% /
"""


class Roomy(Engine):
    """An engine with so much room, or of which nothing can be known."""

    def __init__(self, free: int | EngineError | None) -> None:
        self.free = free

    async def free_disk(self) -> int | None:
        await asyncio.sleep(0)
        if isinstance(self.free, EngineError):
            raise self.free
        return self.free


def look(free: int | EngineError | None, home: Path) -> str | None:
    return asyncio.run(make_sure_of_room(Roomy(free), home, 10 * GIB))


def test_room_enough_is_no_matter(tmp_path: Path) -> None:
    assert look(10 * GIB, tmp_path / "not/there/yet") is None


def test_a_full_disk_is_refused_with_the_figures_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        look(3 * GIB + GIB // 4, tmp_path)

    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    told = str(caught.value)
    assert "3.25 GiB are free, and 10.00 GiB are needed" in told
    assert "matrixci clean --all" in told


@pytest.mark.parametrize("free", [None, EngineError("it is busy")])
def test_what_can_not_be_known_is_told_and_stops_nothing(
    tmp_path: Path, free: EngineError | None
) -> None:
    assert "not known" in str(look(free, tmp_path))


def test_a_full_home_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    with pytest.raises(DiskFullError, match=r"disk of the runs is nearly full: 0\.00 GiB"):
        look(20 * GIB, tmp_path / "home")


@pytest.mark.parametrize(
    ("text", "free"),
    [
        (DF, 21474836480),
        ("", None),
        ("\n", None),
        ("df: no such command", None),
        ("Filesystem\n/dev/root 1 2 many", None),
        ("Filesystem\n/dev/root 1 2 -3 4 /", None),
    ],
)
def test_what_df_printed_is_read_or_not_known(text: str, free: int | None) -> None:
    assert parse_df(text) == free


class FakeDisk:
    """An engine's client, whose one container prints what df would."""

    def __init__(self, root: str, images: list[str]) -> None:
        self.root = root
        self.gone = 0
        self.labels: Mapping[str, str] = {}
        self.images = SimpleNamespace(
            list=lambda **_: [SimpleNamespace(id=name) for name in images]
        )
        self.containers = SimpleNamespace(create=self.create)

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": self.root}

    def create(self, *_: object, labels: Mapping[str, str], **__: object) -> SimpleNamespace:
        self.labels = labels
        return SimpleNamespace(
            start=lambda: None,
            wait=lambda **_: None,
            logs=lambda **_: DF.encode(),
            remove=self.remove,
        )

    def remove(self, *, force: bool) -> None:
        assert force
        self.gone += 1


def free(disk: FakeDisk, host: str) -> int | None:
    return free_bytes(disk, host, {"label": "ours"}, {"owner": "me"})  # type: ignore[arg-type]


def test_an_engine_of_this_machine_is_looked_at_from_here(tmp_path: Path) -> None:
    disk = FakeDisk(str(tmp_path), ["image"])
    assert (free(disk, "unix:///run/docker.sock") or 0) > 0
    assert disk.gone == 0


@pytest.mark.parametrize("host", ["tcp://elsewhere:2376", "unix:///run/docker.sock"])
def test_an_engine_elsewhere_is_asked_from_inside(tmp_path: Path, host: str) -> None:
    disk = FakeDisk(str(tmp_path / "not here"), ["image"])
    assert free(disk, host) == 21474836480
    assert (disk.gone, disk.labels) == (1, {"owner": "me"})


def test_an_engine_elsewhere_without_an_image_is_not_known() -> None:
    assert free(FakeDisk("/data", []), "ssh://elsewhere") is None
