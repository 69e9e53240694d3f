"""Cell images: one for each distinct lock, its shared stages built first and once."""

import asyncio
import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from matrixci.engine.client import Engine
from matrixci.engine.labels import PROJECT_LABEL
from matrixci.errors import INFRASTRUCTURE, EngineError, NoInterpreterError
from matrixci.images.base_images import Base, Bases
from matrixci.images.build_cache import CacheInUse
from matrixci.images.buildx import Build, build
from matrixci.images.registry import Registry
from matrixci.locks.index_settings import build_secrets
from matrixci.locks.lock import Lock, Pin, closure
from matrixci.locks.providers import LockProvider
from matrixci.model import ImageRecord, now
from matrixci.util.once_map import Once
from matrixci.util.resources import data_folder
from matrixci.util.stages import StageListener
from matrixci.util.temp_dirs import temporary_folder

_WHEELS: Final = "/run/wheels"
_LAYERS: Final = {"nvidia": "CUDA libraries", "torch": "torch"}  # by the Dockerfile's stage
_RECIPE: Final = ("Dockerfile", "install-locked.sh", "gather-interpreter.sh", "precompile.py")


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """All that a cell's image depends on beside the run's settings; never the checks."""

    lock: Lock
    python: str
    """X.Y"""
    base: str
    """Name of the interpreter's base image."""
    base_is_own: bool = False
    """The cell itself names it, so no other may stand in for it."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What all images of a run have in common."""

    system: str
    """Name of the operating system's image, the lowest layer of all cells."""
    tools_python: str
    """X.Y of the interpreter that installs what all Pythons share."""
    tools_base: str
    """Name of its base image."""
    precompile: tuple[str, ...]
    """Statements run once in each image, so that their bytecode lies in it."""
    wheels: Mapping[str, Path]
    """SHA-256 to file of the wheels of our own."""
    jobs: int
    """Builds under way at once."""
    keep_wheels: bool = True
    """Wheels are kept on the engine, for other builds."""
    time_limit: float
    """Of one build, in seconds."""


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that stands on the engine, and when its own build began and ended."""

    record: ImageRecord
    system: str
    """Digest of the operating system's image, its lowest layer."""
    began: datetime
    ended: datetime


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """A lock, split by how widely its files can be shared."""

    nvidia: str
    torch: str
    rest: str


class Images:
    """The cell images of one run."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        engine: Engine,
        bases: Bases,
        locks: LockProvider,
        settings: ImageSettings,
        logs: Path,
        listener: StageListener,
        registry: Registry | None = None,
        cache: CacheInUse | None = None,
    ) -> None:
        """Set up, building nothing yet.

        Args:
            engine: where the images are to stand.
            bases: what they are made from.
            locks: where the lock of what installs the others comes from.
            settings: what they have in common.
            logs: the folder that takes the builds' logs.
            listener: hears of what is built.
            registry: what shares them with other machines.
            cache: where BuildKit's own cache is kept beside.
        """
        self._engine = engine
        self._bases = bases
        self._locks = locks
        self._settings = settings
        self._logs = logs
        self._listener = listener
        self._registry = registry
        self._cache = cache
        self._slots = asyncio.Semaphore(settings.jobs)
        self._images: Once[BuiltImage] = Once(passing=INFRASTRUCTURE)
        self._stages: Once[None] = Once(passing=INFRASTRUCTURE)

    async def image(self, request: ImageRequest) -> BuiltImage:
        """Return the image of a lock, built where it doesn't stand yet.

        Raises:
            BuildError: it could not be built, or took too long.
            BaseImageError: a base image of it can't be had, or vanished.
            EngineError: the engine was lost, or its disk is full.
            ResolverError: what installs the others could not be resolved, or the index was lost.
        """
        name = (request.base, request.base_is_own, request.lock.digest)
        return await self._images(name, lambda: self._image(request), self._is_still_there)

    async def _is_still_there(self, image: BuiltImage) -> bool:
        """Tell whether an image is still on the engine, and nobody removed it meanwhile."""
        return await self._engine.images.digest(image.record.tag) == image.record.id

    async def close(self) -> None:
        """Break off what is still under way."""
        await self._images.close()
        await self._stages.close()

    async def _image(self, request: ImageRequest) -> BuiltImage:
        settings = self._settings
        system = await self._bases.system(settings.system)
        python = await (
            self._bases.named(request.base)
            if request.base_is_own
            else self._bases.python(request.base, request.python)
        )
        key = self._key(request, system, python)
        tag = f"matrixci/cell:{key[:20]}"
        began = now()
        reused = await self._engine.images.digest(tag) is not None
        shared = f"cell-{request.lock.digest[:12]}-{key[:12]}"
        labels = {
            PROJECT_LABEL: "image",
            f"{PROJECT_LABEL}.key": key,
            f"{PROJECT_LABEL}.lock": request.lock.digest,
        }
        pulled = None
        if not reused and self._registry and await self._registry.pull(shared, tag, labels):
            pulled = self._registry.name(shared)
        if not reused and not pulled:
            began = await self._build(request, system, python, tag, labels)
        digest = await self._engine.images.digest(tag)
        if digest is None:
            msg = f"The image {tag} vanished from the engine after its build."
            raise EngineError(msg)
        if self._registry and not pulled:
            self._registry.push(tag, shared)
        record = ImageRecord(
            tag=tag,
            id=digest,
            base=python.name,
            base_digest=python.digest,
            base_origin=python.origin,
            reused=reused,
            pulled=pulled,
            log=None if reused or pulled else f"{self._logs.name}/{_log_name(key)}",
        )
        return BuiltImage(record=record, system=system.digest, began=began, ended=now())

    async def _build(
        self,
        request: ImageRequest,
        system: Base,
        python: Base,
        tag: str,
        labels: Mapping[str, str],
    ) -> datetime:
        """Build an image from its shared stages up; return when its own build began."""
        tools, tools_python = await self._tools(request, python)
        tools_lock = await self._locks.tools(tools_python)
        parts = _split(request.lock)
        with temporary_folder("build") as folder:
            wheels = own_wheels(request.lock, self._settings.wheels)
            secrets = await asyncio.to_thread(self._lay_out, folder, parts, tools_lock, wheels)
            common = Build(
                context=folder / "context",
                dockerfile=folder / "context/Dockerfile",
                secrets=secrets,
                arguments={
                    "OS_BASE": system.name,
                    "TOOLS_BASE": tools.name,
                    "PYTHON_BASE": python.name,
                    "TORCH_BACKEND": request.lock.torch_backend or "",
                },
            )
            # A stage that several builds share is built alone first: side by side, each of them
            # may build it again (moby/buildkit#2030).
            below = (system.digest, request.lock.torch_backend, parts.nvidia)
            await self._stages(below, lambda: self._stage(common, "nvidia", below, parts.nvidia))
            above = (*below, python.digest, parts.torch)
            await self._stages(above, lambda: self._stage(common, "torch", above, parts.torch))
            made_from = {
                f"{PROJECT_LABEL}.base": python.digest,
                f"{PROJECT_LABEL}.base.name": python.name,
                f"{PROJECT_LABEL}.base.origin": python.origin,
            }
            cell = replace(common, target="cell", tag=tag, labels={**labels, **made_from})
            async with self._slots:
                began = now()
                key = labels[f"{PROJECT_LABEL}.key"]
                with self._listener.stage(f"image of Python {request.python} ({key[:12]})"):
                    await self._run(cell, self._logs / _log_name(key), f"cell-{key[:12]}")
        return began

    async def _tools(self, request: ImageRequest, python: Base) -> tuple[Base, str]:
        """Return the base image, and its Python X.Y, of what installs the others.

        All images of a run share it, where it can be had. Where it can't, an image whose own
        interpreter is there must not fail for the sake of another one's.
        """
        settings = self._settings
        try:
            base = await self._bases.python(settings.tools_base, settings.tools_python)
        except NoInterpreterError:
            return python, request.python
        return base, settings.tools_python

    async def _stage(self, common: Build, target: str, name: object, installed: str) -> None:
        """Build a stage that several cells share; it may install nothing."""
        key = hashlib.sha256(repr(name).encode()).hexdigest()[:12]
        what = replace(common, target=target)
        shared = f"stage-{target}-{key}"
        if self._registry:
            what = _shared_stage(what, self._registry, shared)
        async with self._slots:
            told = f"layer of {_LAYERS[target]}" if installed else "shared layer"
            with self._listener.stage(f"{told} ({key})"):
                await self._run(what, self._logs / f"{target}-{key}.log", f"{target}-{key}")
        if self._registry:
            self._registry.push(self._registry.name(shared), shared)

    async def _run(self, what: Build, log: Path, name: str) -> None:
        if self._cache:
            what = self._cache.apply(what, name)
        await build(self._engine, what, log, self._settings.time_limit)
        if self._cache:
            self._cache.examine(log)

    def _lay_out(
        self, folder: Path, parts: _Parts, tools: Lock, wheels: Iterable[Path]
    ) -> dict[str, Path]:
        """Write a build's context, and its secrets beside it; return the secrets."""
        context = folder / "context"
        (context / "wheels").mkdir(parents=True)
        for name in _RECIPE:
            shutil.copy2(data_folder("docker") / name, context)
        for wheel in wheels:
            shutil.copy2(wheel, context / "wheels")
        texts = {
            "tools.txt": tools.text,
            "nvidia.txt": parts.nvidia,
            "torch.txt": parts.torch,
            "rest.txt": parts.rest,
            "precompile.txt": "".join(f"{line}\n" for line in self._settings.precompile),
        }
        for name, text in texts.items():
            (context / name).write_text(text, encoding="utf-8")
        return build_secrets(folder, keep_wheels=self._settings.keep_wheels)

    def _key(self, request: ImageRequest, system: Base, python: Base) -> str:
        """Return a digest of all that the image is made of."""
        recipe = [(data_folder("docker") / name).read_text(encoding="utf-8") for name in _RECIPE]
        made_of = [request.lock.digest, system.digest, python.digest]
        text = "\0".join([*made_of, *recipe, *self._settings.precompile])
        return hashlib.sha256(text.encode()).hexdigest()


def _split(lock: Lock) -> _Parts:
    """Split a lock: CUDA libraries, torch with what it needs, and the rest.

    Only how much is shared depends on the split; each part is installed, whatever it holds. Wheels
    of our own are there for the rest alone: what changes with every build is shared with nobody.
    """
    torch = closure(lock.pins, {"torch"}) - {pin.name for pin in lock.pins if pin.url}
    nvidia = [pin for pin in lock.pins if pin.name in torch and pin.name.startswith("nvidia-")]
    beside = [pin for pin in lock.pins if pin.name in torch and pin not in nvidia]
    rest = [pin for pin in lock.pins if pin.name not in torch]
    return _Parts(nvidia=_text(nvidia), torch=_text(beside), rest=_text(rest))


def own_wheels(lock: Lock, wheels: Mapping[str, Path]) -> tuple[Path, ...]:
    """Return those of some wheels, SHA-256 to file, that a lock installs.

    No other lies in a build's context: there it would be a change.
    """
    digests = [each.removeprefix("sha256:") for pin in lock.pins if pin.url for each in pin.hashes]
    return tuple(wheels[digest] for digest in dict.fromkeys(digests) if digest in wheels)


def _text(pins: Sequence[Pin]) -> str:
    return "".join(f"{pin.install_line(_WHEELS)}\n" for pin in pins)


def _shared_stage(what: Build, registry: Registry, tag: str) -> Build:
    """Return the build of a stage whose layers come from a registry where it has them.

    The stage becomes an image that tells which step each layer is of (an inline cache): BuildKit
    pulls what it finds there, whatever is built above it.
    """
    name = registry.name(tag)
    return replace(
        what,
        tag=name,
        labels={PROJECT_LABEL: "stage"},
        cache_from=[f"type=registry,ref={name}"] if registry.is_asked else [],
        cache_to=["type=inline"],
    )


def _log_name(key: str) -> str:
    return f"image-{key[:12]}.log"
