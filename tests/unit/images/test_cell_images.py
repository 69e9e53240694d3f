import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from matrixci.errors import EngineError, NoInterpreterError
from matrixci.images.base_images import BaseImage
from matrixci.images.build_services import BuildServices
from matrixci.images.buildx import Build, BuildError
from matrixci.images.cell_images import BuiltImage, CellImages
from matrixci.images.image_settings import ImageRequest, ImageSettings
from matrixci.locks.lock import Lock, parse_lock
from matrixci.model import BaseOrigin
from matrixci.util.resources import data_folder

REAL = parse_lock(
    (Path(__file__).parents[1] / "data/resolver_lock.txt").read_text(encoding="utf-8")
)
LOCK = Lock(pins=REAL, torch_backend=None)
SETTINGS = ImageSettings(
    system="debian:bookworm-slim",
    tools_python="3.13",
    tools_base="python:3.13",
    precompile=("import torch",),
    wheels={},
    jobs=4,
    time_limit=60,
)


def names(text: str) -> list[str]:
    """Return the names in a requirements file."""
    return [pin.name for pin in parse_lock(text)]


FAILED = "it failed"

# Building, with a fake engine, fake base images and fake builds


@dataclass
class World:
    """A fake engine with its images, base images, locks and builds."""

    digests: Mapping[str, str] = field(default_factory=dict)
    """Base image to digest; by default the digest is the name."""
    existing: set[str] = field(default_factory=set)
    builds: list[Build] = field(default_factory=list)
    contexts: list[dict[str, str]] = field(default_factory=list)
    recipe: Path = field(default_factory=lambda: data_folder("docker"))
    fails: str | None = None
    """The target whose build fails."""
    stages: list[str] = field(default_factory=list)
    """Titles of the reported stages."""
    active: int = 0
    most: int = 0

    def said(self, text: str) -> None: ...

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        before = len(self.builds)
        yield
        assert len(self.builds) > before
        self.stages.append(re.sub(r"[0-9a-f]{12}", "KEY", what))

    @property
    def images(self) -> "World":
        return self

    async def digest(self, name: str) -> str | None:
        return f"sha256:{name}" if name in self.existing else None

    absent: str | None = None
    """A Python that this machine does not have."""

    async def python(self, name: str, version: str) -> BaseImage:
        if version == self.absent:
            raise NoInterpreterError(version)
        digest = self.digests.get(name, name)
        return BaseImage(name=name, digest=digest, origin=BaseOrigin.REGISTRY)

    async def named(self, name: str) -> BaseImage:
        return await self.python(name, "")

    async def system(self, name: str) -> BaseImage:
        return await self.python(name, "")

    async def tools(self, _: str) -> Lock:
        return Lock(pins=parse_lock("uv==0.13.9 \\\n    --hash=sha256:00"), torch_backend=None)

    async def build(self, _: object, what: Build, log: Path, __: float) -> None:
        self.active += 1
        self.most = max(self.most, self.active)
        files = [path for path in what.context.rglob("*") if path.is_file()]
        texts = {str(f.relative_to(what.context)): f.read_text(encoding="utf-8") for f in files}
        self.contexts.append(texts)
        self.builds.append(what)
        log.write_text("", encoding="utf-8")
        await asyncio.sleep(0.001)
        self.active -= 1
        if what.target == self.fails:
            raise BuildError(FAILED)
        if what.tag is not None:
            self.existing.add(what.tag)


@pytest.fixture
def world() -> World:
    return World()


@dataclass
class FakeRegistry:
    """A registry that has all images or none, and records the requests."""

    world: World
    has: bool = False
    is_reachable: bool = True
    wanted: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    pushed: list[tuple[str, str]] = field(default_factory=list)

    def name(self, tag: str) -> str:
        return f"registry.example/toy:{tag}"

    async def pull(self, tag: str, local: str, labels: Mapping[str, str]) -> bool:
        self.wanted.append((tag, labels))
        if self.has:
            self.world.existing.add(local)
        return self.has

    def push(self, local: str, tag: str) -> None:
        self.pushed.append((local, tag))


def images(
    world: World,
    logs: Path,
    settings: ImageSettings = SETTINGS,
    registry: FakeRegistry | None = None,
) -> CellImages:
    services = BuildServices(
        engine=world,  # type: ignore[arg-type]
        logs=logs,
        listener=world,
        registry=registry,  # type: ignore[arg-type]
        build=world.build,
        recipe=world.recipe,
    )
    return CellImages(services, world, world, settings)  # type: ignore[arg-type]


def build_all(
    world: World,
    logs: Path,
    *requests: ImageRequest,
    settings: ImageSettings = SETTINGS,
    registry: FakeRegistry | None = None,
) -> list[BuiltImage | BaseException]:
    async def build() -> list[BuiltImage | BaseException]:
        made = images(world, logs, settings, registry)
        try:
            return await asyncio.gather(
                *(made.image(request) for request in requests), return_exceptions=True
            )
        finally:
            await made.close()

    return asyncio.run(build())


def request(python: str = "3.12", lock: Lock = LOCK, **fields: object) -> ImageRequest:
    plain = ImageRequest(lock=lock, python=python, base=f"python:{python}")
    return replace(plain, **fields)  # type: ignore[arg-type]


def with_rest(version: str) -> Lock:
    """Return a lock that differs from LOCK in a package that torch does not need."""
    pins = [replace(pin, version=version) if pin.name == "numpy" else pin for pin in REAL]
    return replace(LOCK, pins=tuple(pins))


def targets(world: World) -> list[str | None]:
    return [build.target for build in world.builds]


def test_shared_stages_are_built_before_the_image(world: World, tmp_path: Path) -> None:
    (built,) = build_all(world, tmp_path, request())
    assert isinstance(built, BuiltImage)
    assert targets(world) == ["nvidia", "torch", "cell"]
    nvidia, torch, cell = world.builds
    assert (nvidia.tag, torch.tag) == (None, None)
    assert cell.tag == built.record.tag
    assert cell.arguments == {
        "OS_BASE": "debian:bookworm-slim",
        "TOOLS_BASE": "python:3.13",
        "PYTHON_BASE": "python:3.12",
        "TORCH_BACKEND": "",
    }
    assert cell.labels["org.matrixci.lock"] == LOCK.digest
    assert built.record.reused is False
    assert built.began <= built.ended
    log = tmp_path.parent / str(built.record.log)
    assert log.is_file()
    assert log.parent == tmp_path


def test_each_build_is_reported_as_a_stage(world: World, tmp_path: Path) -> None:
    build_all(world, tmp_path, request())
    assert world.stages == [
        "layer of CUDA libraries (KEY)",
        "layer of torch (KEY)",
        "image of Python 3.12 (KEY)",
    ]


def test_empty_stage_is_not_reported_as_torch(world: World, tmp_path: Path) -> None:
    numpy = tuple(pin for pin in REAL if pin.name == "numpy")
    build_all(world, tmp_path, request(lock=replace(LOCK, pins=numpy)))
    assert world.stages == [
        "shared layer (KEY)",
        "shared layer (KEY)",
        "image of Python 3.12 (KEY)",
    ]


def test_files_of_the_build_context(world: World, tmp_path: Path) -> None:
    wheel = tmp_path / "my_own-1.0+local-py3-none-any.whl"
    wheel.write_text("a wheel", encoding="utf-8")
    other = tmp_path / "other-1.0-py3-none-any.whl"
    (own,) = (pin for pin in REAL if pin.url)
    wheels = {own.hashes[0].removeprefix("sha256:"): wheel, "0" * 64: other}
    build_all(world, tmp_path, request(), settings=replace(SETTINGS, wheels=wheels))
    files = world.contexts[-1]
    assert names(files["nvidia.txt"] + files["torch.txt"] + files["rest.txt"])
    assert files["tools.txt"].startswith("uv==0.13.9")
    assert files["precompile.txt"] == "import torch\n"
    assert files[f"wheels/{wheel.name}"] == "a wheel"
    assert f"wheels/{other.name}" not in files  # not in this lock
    assert "FROM" in files["Dockerfile"]
    # Secrets are never in the context.
    assert not any("index" in name for name in files)
    assert all(
        build.context not in path.parents
        for build in world.builds
        for path in build.secrets.values()
    )
    assert not any(build.context.exists() for build in world.builds)  # removed at the end


def test_shared_stages_are_built_once(world: World, tmp_path: Path) -> None:
    requests = [request(lock=with_rest(version)) for version in ("1.26.4", "2.5.5")]
    build_all(world, tmp_path, *requests, request("3.13"), request(lock=with_rest("2.5.5")))
    assert sorted(map(str, targets(world))) == ["cell"] * 3 + ["nvidia"] + ["torch"] * 2
    order = targets(world)
    assert order.index("nvidia") < order.index("torch") < order.index("cell")


def test_missing_interpreter_does_not_fail_other_images(world: World, tmp_path: Path) -> None:
    world.absent = SETTINGS.tools_python
    there, absent = build_all(world, tmp_path, request("3.12"), request(SETTINGS.tools_python))

    assert isinstance(there, BuiltImage)
    assert isinstance(absent, NoInterpreterError)
    assert {build.arguments["TOOLS_BASE"] for build in world.builds} == {"python:3.12"}


def test_stages_of_different_torch_backends_are_separate(world: World, tmp_path: Path) -> None:
    build_all(world, tmp_path, request(), request(lock=replace(LOCK, torch_backend="cpu")))
    assert sorted(map(str, targets(world))) == [
        "cell",
        "cell",
        "nvidia",
        "nvidia",
        "torch",
        "torch",
    ]


def test_cells_with_the_same_lock_share_an_image(world: World, tmp_path: Path) -> None:
    built = build_all(world, tmp_path, request(), request(), request())
    assert built[0] == built[1] == built[2]
    assert targets(world).count("cell") == 1


def test_existing_image_is_reused(world: World, tmp_path: Path) -> None:
    (first,) = build_all(world, tmp_path, request())
    builds = len(world.builds)
    (second,) = build_all(world, tmp_path, request())
    assert isinstance(first, BuiltImage)
    assert isinstance(second, BuiltImage)
    assert len(world.builds) == builds
    assert second.record == first.record.model_copy(update={"reused": True, "log": None})


def test_removed_image_is_rebuilt(world: World, tmp_path: Path) -> None:
    async def build() -> list[BuiltImage]:
        made = images(world, tmp_path)
        first = await made.image(request())
        world.existing.remove(first.record.tag)
        again = await asyncio.gather(made.image(request()), made.image(request()))
        await made.close()
        return [first, *again]

    first, *again = asyncio.run(build())
    assert targets(world) == ["nvidia", "torch", "cell", "cell"]
    assert {image.record.tag for image in again} == {first.record.tag}
    assert first.record.tag in world.existing


@pytest.mark.parametrize("jobs", [1, 2])
def test_parallel_builds_are_limited(world: World, tmp_path: Path, jobs: int) -> None:
    requests = [request(lock=with_rest(f"2.{minor}")) for minor in range(6)]
    build_all(world, tmp_path, *requests, settings=replace(SETTINGS, jobs=jobs))
    assert world.most == jobs


@pytest.mark.parametrize("target", ["nvidia", "torch", "cell"])
def test_failed_build_fails_all_images_that_need_it(
    world: World, tmp_path: Path, target: str
) -> None:
    world.fails = target
    built = build_all(world, tmp_path, request(), request(lock=with_rest("2.5.5")))
    assert [str(error) for error in built] == [FAILED] * 2
    assert targets(world).count(target) == (2 if target == "cell" else 1)


def test_image_missing_after_its_build_is_an_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(*_: object) -> None:
        return None

    monkeypatch.setattr(world, "digest", nowhere)
    (error,) = build_all(world, tmp_path, request())
    assert isinstance(error, EngineError)
    assert "vanished from the engine" in str(error)


# The tag


def tag(world: World, logs: Path, made: ImageRequest, **changed: object) -> str:
    settings = replace(SETTINGS, **changed)  # type: ignore[arg-type]
    (built,) = build_all(world, logs, made, settings=settings)
    assert isinstance(built, BuiltImage)
    return built.record.tag


def test_tag_depends_on_everything_that_the_image_is_built_from(
    world: World, tmp_path: Path
) -> None:
    tags = [
        tag(world, tmp_path, request()),
        tag(world, tmp_path, request(lock=with_rest("2.5.5"))),
        tag(world, tmp_path, request(lock=replace(LOCK, torch_backend="cpu"))),
        tag(world, tmp_path, request("3.13")),
        tag(world, tmp_path, request(), system="debian:trixie-slim"),
        tag(world, tmp_path, request(), precompile=("import torch", "import numpy")),
    ]
    world.digests = {"python:3.12": "sha256:newer"}
    tags.append(tag(world, tmp_path, request()))
    world.digests = {"debian:bookworm-slim": "sha256:newer"}
    tags.append(tag(world, tmp_path, request()))
    world.digests = {}
    recipe = tmp_path / "docker"
    recipe.mkdir()
    for name in ("Dockerfile", "install-locked.sh", "gather-interpreter.sh", "precompile.py"):
        (recipe / name).write_text("FROM other\n", encoding="utf-8")
    world.recipe = recipe
    tags.append(tag(world, tmp_path, request()))
    assert len(set(tags)) == len(tags)
    assert all(each.startswith("matrixci/cell:") for each in tags)


@pytest.mark.parametrize(
    "changed", [{"jobs": 1}, {"time_limit": 5.0}, {"tools_python": "3.11", "tools_base": "other"}]
)
def test_tag_does_not_depend_on_other_settings(
    world: World, tmp_path: Path, changed: dict[str, object]
) -> None:
    assert tag(world, tmp_path, request(), **changed) == tag(world, tmp_path, request())


# Shared with other machines


def test_image_in_the_registry_is_pulled(world: World, tmp_path: Path) -> None:
    registry = FakeRegistry(world, has=True)
    (built,) = build_all(world, tmp_path, request(), registry=registry)
    assert isinstance(built, BuiltImage)
    ((tag, labels),) = registry.wanted
    key = labels["org.matrixci.key"]
    assert tag == f"cell-{LOCK.digest[:12]}-{key[:12]}"
    assert built.record.tag == f"matrixci/cell:{key[:20]}"
    assert labels["org.matrixci.lock"] == LOCK.digest
    assert (built.record.pulled, built.record.reused) == (registry.name(tag), False)
    assert (built.record.log, world.builds, registry.pushed) == (None, [], [])


def test_built_image_is_pushed_with_its_shared_stages(world: World, tmp_path: Path) -> None:
    registry = FakeRegistry(world)
    (built,) = build_all(world, tmp_path, request(), registry=registry)
    assert isinstance(built, BuiltImage)
    assert built.record.pulled is None
    nvidia, torch, cell = world.builds
    for stage in (nvidia, torch):
        assert stage.tag is not None
        assert stage.tag.startswith(f"registry.example/toy:stage-{stage.target}-")
        assert stage.cache_from == [f"type=registry,ref={stage.tag}"]
        assert stage.cache_to == ["type=inline"]
    assert (cell.cache_from, cell.cache_to) == ((), ())
    local = [nvidia.tag, torch.tag, built.record.tag]
    assert [pushed for pushed, _ in registry.pushed] == local
    assert registry.pushed[-1][1] == registry.wanted[0][0]


def test_existing_image_is_pushed_and_not_pulled(world: World, tmp_path: Path) -> None:
    build_all(world, tmp_path, request())
    registry = FakeRegistry(world)
    (built,) = build_all(world, tmp_path, request(), registry=registry)
    assert isinstance(built, BuiltImage)
    assert (built.record.reused, registry.wanted) == (True, [])
    assert [local for local, _ in registry.pushed] == [built.record.tag]


def test_unreachable_registry_is_not_a_cache_source(world: World, tmp_path: Path) -> None:
    build_all(world, tmp_path, request(), registry=FakeRegistry(world, is_reachable=False))
    assert [build.cache_from for build in world.builds] == [[], [], ()]
