from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from matrixci.engine.disk import free_bytes, parse_df

DF = """\
Filesystem        1-blocks        Used  Available Capacity Mounted on
overlay       270553174016 89000000000 21474836480      81% /
"""


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
def test_free_bytes_are_parsed_from_df(text: str, free: int | None) -> None:
    assert parse_df(text) == free


class FakeDisk:
    """A client whose only container prints the output of df."""

    def __init__(self, root: str, images: list[str]) -> None:
        self.root = root
        self.removed = 0
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
        self.removed += 1


def free(disk: FakeDisk, host: str) -> int | None:
    return free_bytes(disk, host, {"label": "ours"}, {"owner": "me"})  # type: ignore[arg-type]


def test_local_disk_is_measured_directly(tmp_path: Path) -> None:
    disk = FakeDisk(str(tmp_path), ["image"])
    assert (free(disk, "unix:///run/docker.sock") or 0) > 0
    assert disk.removed == 0


@pytest.mark.parametrize("host", ["tcp://elsewhere:2376", "unix:///run/docker.sock"])
def test_remote_disk_is_measured_in_a_container(tmp_path: Path, host: str) -> None:
    disk = FakeDisk(str(tmp_path / "not here"), ["image"])
    assert free(disk, host) == 21474836480
    assert (disk.removed, disk.labels) == (1, {"owner": "me"})


def test_remote_disk_without_an_image_is_unknown() -> None:
    assert free(FakeDisk("/data", []), "ssh://elsewhere") is None
