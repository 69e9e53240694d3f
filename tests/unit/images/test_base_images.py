import asyncio
from dataclasses import dataclass, field

import pytest

from matrixci.errors import BaseImageError, EngineError, ExitCode
from matrixci.images.base_images import BaseImage, BaseImages
from matrixci.model import BaseOrigin

SYSTEM, PYTHON = "debian:bookworm-slim", "python:3.12-slim-bookworm"
NO_REGISTRY = "no registry answers for {}: assembling base images locally"


@dataclass
class FakeEngine:
    """The images of an engine and of a registry."""

    existing: set[str] = field(default_factory=set)
    registry: set[str] | None = None
    """None: no registry answers."""
    pulls: list[str] = field(default_factory=list)

    @property
    def images(self) -> "FakeEngine":
        return self

    async def digest(self, name: str) -> str | None:
        await asyncio.sleep(0)
        return f"sha256:{name}" if name in self.existing else None

    async def pull(self, name: str) -> bool:
        self.pulls.append(name)
        await asyncio.sleep(0)
        if self.registry is None:
            return False
        if name not in self.registry:
            msg = f"The registry has no image {name}"
            raise EngineError(msg)
        self.existing.add(name)
        return True


@dataclass
class FakeAssembler:
    """Assembles images at once, and records which."""

    engine: FakeEngine
    assembled: list[str] = field(default_factory=list)

    async def system(self) -> BaseImage:
        return self._assemble("system")

    async def python(self, version: str) -> BaseImage:
        return self._assemble(version)

    async def close(self) -> None: ...

    def _assemble(self, what: str) -> BaseImage:
        self.assembled.append(what)
        name = f"matrixci/{what}"
        self.engine.existing.add(name)
        return BaseImage(name=name, digest=f"sha256:{name}", origin=BaseOrigin.ASSEMBLED)


@dataclass
class Bases:
    """Base images of a fake engine."""

    engine: FakeEngine
    origin: BaseOrigin | None = None
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.assembler = FakeAssembler(self.engine)
        self.images = BaseImages(
            self.engine,  # type: ignore[arg-type]
            self.assembler,
            self.origin,
            self.said.append,
        )

    def system(self, name: str = SYSTEM) -> BaseImage:
        return asyncio.run(self.images.system(name))

    def python(self) -> BaseImage:
        return asyncio.run(self.images.python(PYTHON, "3.12"))

    def named(self, name: str) -> BaseImage:
        return asyncio.run(self.images.named(name))


def test_image_is_pulled_once() -> None:
    bases = Bases(FakeEngine(registry={SYSTEM, PYTHON}))

    async def pull() -> list[BaseImage]:
        return list(await asyncio.gather(*(bases.images.python(PYTHON, "3.12") for _ in range(3))))

    expected = BaseImage(name=PYTHON, digest=f"sha256:{PYTHON}", origin=BaseOrigin.REGISTRY)
    assert asyncio.run(pull()) == [expected] * 3
    assert (bases.engine.pulls, bases.assembler.assembled, bases.said) == ([PYTHON], [], [])


def test_existing_image_is_not_pulled() -> None:
    bases = Bases(FakeEngine(existing={SYSTEM}))
    assert bases.system().origin is BaseOrigin.REGISTRY
    assert bases.engine.pulls == []


@pytest.mark.parametrize("removed", ["3.12", "system"])
def test_removed_base_is_assembled_again(removed: str) -> None:
    bases = Bases(FakeEngine(), BaseOrigin.ASSEMBLED)

    async def get() -> None:
        await bases.images.system(SYSTEM)
        await bases.images.python(PYTHON, "3.12")
        bases.engine.existing.remove(f"matrixci/{removed}")
        await bases.images.system(SYSTEM)
        await bases.images.python(PYTHON, "3.12")

    asyncio.run(get())
    assert f"matrixci/{removed}" in bases.engine.existing
    assert sorted(bases.assembler.assembled) == sorted(["system", "3.12", removed])


def test_all_bases_are_assembled_if_no_registry_answers() -> None:
    bases = Bases(FakeEngine())

    async def get() -> list[BaseImage]:
        return [
            *await asyncio.gather(
                bases.images.python("python:3.12", "3.12"),
                bases.images.python("python:3.13", "3.13"),
            ),
            await bases.images.system(SYSTEM),
        ]

    assert {base.origin for base in asyncio.run(get())} == {BaseOrigin.ASSEMBLED}
    assert sorted(bases.assembler.assembled) == ["3.12", "3.13", "system"]
    assert len(bases.engine.pulls) == 1
    assert bases.said == [NO_REGISTRY.format(bases.engine.pulls[0])]


def test_required_assembly_pulls_nothing() -> None:
    bases = Bases(FakeEngine(existing={PYTHON}, registry={PYTHON}), BaseOrigin.ASSEMBLED)
    assert bases.python().origin is BaseOrigin.ASSEMBLED
    assert bases.engine.pulls == []


def test_required_registry_is_never_replaced() -> None:
    bases = Bases(FakeEngine(), BaseOrigin.REGISTRY)
    with pytest.raises(BaseImageError, match=f"No registry answers for {PYTHON}") as caught:
        bases.python()
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    assert bases.assembler.assembled == []


def test_nothing_is_assembled_if_a_registry_refuses() -> None:
    bases = Bases(FakeEngine(registry=set()))
    with pytest.raises(BaseImageError, match=f"The registry has no image {PYTHON}"):
        bases.python()
    assert bases.assembler.assembled == []


@pytest.mark.parametrize("origin", [None, *BaseOrigin])
def test_image_named_by_a_cell_is_never_replaced(origin: BaseOrigin | None) -> None:
    bases = Bases(FakeEngine(registry={"own:1"}), origin)
    assert bases.named("own:1").name == "own:1"
    with pytest.raises(BaseImageError, match="The registry has no image own:2"):
        bases.named("own:2")
    without = Bases(FakeEngine(), origin)
    with pytest.raises(BaseImageError, match="No registry answers for own:1, the base image that"):
        without.named("own:1")
    assert bases.assembler.assembled == without.assembler.assembled == []
