import asyncio
import platform
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from matrixci.errors import BaseImageError, NoInterpreterError
from matrixci.images.assembled_bases import AssembledBases, assembly_key
from matrixci.images.base_images import BaseImage
from matrixci.images.build_services import BuildServices
from matrixci.images.buildx import Build, BuildError
from matrixci.images.interpreter import HostInterpreter
from matrixci.model import BaseOrigin

AddProgram = Callable[[str, str], Path]

RELEASE = platform.freedesktop_os_release().get("VERSION_CODENAME", "")


@dataclass
class World:
    """A fake engine with its images, builds and a listener."""

    architecture: str = field(default_factory=platform.machine)
    existing: set[str] = field(default_factory=set)
    stages: list[str] = field(default_factory=list)
    built: list[Build] = field(default_factory=list)
    fails: bool = False

    @property
    def facts(self) -> "World":
        return self

    @property
    def images(self) -> "World":
        return self

    async def digest(self, name: str) -> str | None:
        return f"sha256:{name}" if name in self.existing else None

    async def import_root(self, archive: Path, tag: str, labels: Mapping[str, str]) -> None:
        assert archive.is_file()
        assert labels["org.matrixci"] == "base"
        self.existing.add(tag)

    async def build(self, _: object, spec: Build, log: Path, __: float) -> None:
        assert (spec.context / "usr/local/bin/python").is_symlink()
        if self.fails:
            msg = f"the end of {log.name}"
            raise BuildError(msg)
        assert spec.tag is not None
        self.built.append(spec)
        self.existing.add(spec.tag)

    def said(self, text: str) -> None: ...

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        before = len(self.existing)
        yield
        assert len(self.existing) > before
        self.stages.append(what)


@dataclass
class FakeRegistry:
    """A registry that has all images or none."""

    world: World
    has: bool
    pushed: list[tuple[str, str]] = field(default_factory=list)

    async def pull(self, tag: str, local: str, labels: Mapping[str, str]) -> bool:
        assert labels["org.matrixci"] == "base"
        if self.has:
            assert tag == local.removeprefix("matrixci/").replace(":", "-")
            self.world.existing.add(local)
        return self.has

    def push(self, local: str, tag: str) -> None:
        self.pushed.append((local, tag))


@pytest.fixture
def interpreter(tmp_path: Path, programs: AddProgram) -> HostInterpreter:
    """Return an interpreter of a few files, and add all programs that assembling needs to PATH."""
    programs("ldd", "exit 0")
    programs("debootstrap", "for root; do case $root in */root) mkdir -p $root;; esac; done")
    programs("apt-get", f"echo '{RELEASE}|http://mirror.example/debian|'")
    stdlib = tmp_path / "python/lib/python3.12"
    stdlib.mkdir(parents=True)
    executable = tmp_path / "python/python3.12"
    executable.touch()
    return HostInterpreter(version="3.12.1", executable=executable, stdlib=stdlib, library=None)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


def assembled(
    world: World,
    logs: Path,
    *found: HostInterpreter,
    registry: FakeRegistry | None = None,
    searched: list[str] | None = None,
) -> AssembledBases:
    services = BuildServices(
        engine=world,  # type: ignore[arg-type]
        logs=logs,
        listener=world,
        registry=registry,  # type: ignore[arg-type]
        build=world.build,
    )

    async def find(version: str) -> HostInterpreter:
        if searched is not None:
            searched.append(version)
        for each in found:
            if each.version.startswith(version):
                return each
        raise NoInterpreterError(version)

    return AssembledBases(services, find)


@pytest.mark.usefixtures("root", "interpreter")
def test_system_is_assembled_once_and_reported_as_a_stage(tmp_path: Path) -> None:
    world = World()

    async def assemble() -> list[BaseImage]:
        bases = assembled(world, tmp_path)
        images = list(await asyncio.gather(bases.system(), bases.system()))
        await bases.close()
        return images

    first, second = asyncio.run(assemble())
    assert first is second
    assert first.origin is BaseOrigin.ASSEMBLED
    assert re.fullmatch(rf"matrixci/system:{RELEASE}-[0-9a-f]{{12}}", first.name)
    asyncio.run(assembled(world, tmp_path).system())
    assert world.stages == [f"base system ({RELEASE})"]


@pytest.mark.usefixtures("root", "interpreter")
def test_removed_system_is_assembled_again(tmp_path: Path) -> None:
    world = World()

    async def assemble() -> None:
        bases = assembled(world, tmp_path)
        world.existing.remove((await bases.system()).name)
        await bases.system()

    asyncio.run(assemble())
    assert len(world.stages) == 2


@pytest.mark.usefixtures("root")
def test_python_is_built_on_the_assembled_system(
    tmp_path: Path, interpreter: HostInterpreter
) -> None:
    world = World()
    base = asyncio.run(assembled(world, tmp_path, interpreter).python("3.12"))
    assert base.name.startswith("matrixci/python:3.12.1-")
    (build,) = world.built
    assert build.tag == base.name
    assert build.arguments["OS_BASE"].startswith(f"matrixci/system:{RELEASE}-")
    assert world.stages == [f"base system ({RELEASE})", "base image of Python 3.12.1"]


@pytest.mark.usefixtures("root")
def test_failed_build_of_a_base_image_is_reported(
    tmp_path: Path, interpreter: HostInterpreter
) -> None:
    world = World(fails=True)
    with pytest.raises(BaseImageError) as caught:
        asyncio.run(assembled(world, tmp_path, interpreter).python("3.12"))
    assert str(caught.value).splitlines() == [
        "Cannot build the base image of Python 3.12.1:",
        "the end of base-python3.12.1.log",
    ]


@pytest.mark.usefixtures("root", "interpreter")
@pytest.mark.parametrize("has", [True, False])
def test_shared_base_is_pulled_or_pushed(tmp_path: Path, *, has: bool) -> None:
    world = World()
    registry = FakeRegistry(world, has)
    base = asyncio.run(assembled(world, tmp_path, registry=registry).system())
    shared = base.name.removeprefix("matrixci/").replace(":", "-")
    assert registry.pushed == ([] if has else [(base.name, shared)])
    assert len(world.stages) == (0 if has else 1)


def test_missing_interpreter_is_searched_only_once(tmp_path: Path) -> None:
    searched: list[str] = []

    async def assemble() -> list[str]:
        bases = assembled(World(), tmp_path, searched=searched)
        errors = [
            (await asyncio.gather(bases.python("3.14"), return_exceptions=True))[0]
            for _ in range(2)
        ]
        return list(map(str, errors))

    assert asyncio.run(assemble()) == ["3.14", "3.14"]
    assert searched == ["3.14"]


def refusal(assemble: Coroutine[Any, Any, BaseImage]) -> str:
    with pytest.raises(BaseImageError) as caught:
        asyncio.run(assemble)
    return str(caught.value)


@pytest.mark.parametrize("architecture", ["riscv64", "s390x"])
def test_nothing_is_assembled_for_another_architecture(tmp_path: Path, architecture: str) -> None:
    bases = assembled(World(architecture=architecture), tmp_path)
    for assemble in (bases.system(), bases.python("3.12")):
        assert f"the container engine is {architecture}" in refusal(assemble)


@pytest.mark.parametrize(
    ("here", "there"), [("arm64", "aarch64"), ("AMD64", "x86_64"), ("x86_64", "x86_64")]
)
def test_all_names_of_an_architecture_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, there: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: here)
    bases = assembled(World(architecture=there), tmp_path)
    assert refusal(bases.python("3.14")) == "3.14"  # the architecture was accepted


def test_key_depends_on_everything_that_the_image_is_made_from() -> None:
    common: dict[str, Any] = {"machine": "x86_64", "recipe": "FROM a\n", "excluded": ("test",)}
    keys = [
        assembly_key(["a", "b"], **common),
        assembly_key(["a", "c"], **common),
        assembly_key(["ab"], **common),
        assembly_key(["a", "b"], **{**common, "machine": "riscv64"}),
        assembly_key(["a", "b"], **{**common, "recipe": "FROM other\n"}),
        assembly_key(["a", "b"], **{**common, "excluded": ("test", "tests")}),
    ]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[0-9a-f]{12}", key) for key in keys)
    assert assembly_key(["a", "b"], **common) == keys[0]
