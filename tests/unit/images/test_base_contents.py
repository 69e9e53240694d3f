"""Contents of base images: parsed, read once, and stored."""

import asyncio
from pathlib import Path

from matrixci.engine.client import Engine
from matrixci.engine.image_contents import RawContents
from matrixci.images.base_contents import (
    BaseContents,
    ContentsReader,
    DebianPackage,
    parse_contents,
)

RELEASE = 'PRETTY_NAME="Some Linux"\nID=debian\nVERSION_ID="12"\n# comment\nBAD="\n'
STATUS = """\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: zlib (1:1.2.13-1)
Version: 1:1.2.13.dfsg-1
Description: compression library
 Package: not-this-one
 .

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: base-files
Status: install ok installed
Architecture: all
Version: 12.4+deb12u10

Package: bad name; rm
Status: install ok installed
Architecture: amd64
Version: 1.0

Package: half
"""
RAW = RawContents(release=RELEASE, packages=STATUS, python="3.12.9")
PARSED = BaseContents(
    python="3.12.9",
    system="debian",
    system_version="12",
    packages=(
        DebianPackage(name="base-files", version="12.4+deb12u10", architecture="all"),
        DebianPackage(
            name="zlib1g", version="1:1.2.13.dfsg-1", architecture="amd64", source="zlib"
        ),
    ),
)


class FakeEngine(Engine):
    """An engine with two base images."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.images = self  # type: ignore[assignment]

    async def read_contents(self, system: str, python: str) -> RawContents:
        self.requests.append((system, python))
        return RAW


def read(work_dir: Path) -> tuple[list[BaseContents], list[tuple[str, str]]]:
    engine = FakeEngine()

    async def read_all() -> list[BaseContents]:
        reader = ContentsReader(engine, work_dir)
        pairs = [("system", "one"), ("system", "two"), ("system", "one")]
        found = await asyncio.gather(*(reader.read(*pair) for pair in pairs))
        await reader.close()
        return found

    return asyncio.run(read_all()), engine.requests


def test_installed_packages_are_parsed_and_invalid_ones_skipped() -> None:
    assert parse_contents(RAW) == PARSED


def test_contents_of_an_empty_base_are_unknown() -> None:
    assert parse_contents(RawContents(release="", packages="", python="")) == BaseContents()
    odd = RawContents(release="ID='a b'", packages="no: paragraph", python="not a version")
    assert parse_contents(odd) == BaseContents()


def test_bases_are_read_once_and_stored_for_later_runs(tmp_path: Path) -> None:
    found, requests = read(tmp_path)
    assert found == [PARSED] * 3
    assert sorted(requests) == [("system", "one"), ("system", "two")]
    assert read(tmp_path) == ([PARSED] * 3, [])


def test_damaged_stored_answer_is_read_again(tmp_path: Path) -> None:
    read(tmp_path)
    for path in (tmp_path / "bases").iterdir():
        path.write_text("{", encoding="utf-8")
    found, requests = read(tmp_path)
    assert found == [PARSED] * 3
    assert len(requests) == 2
