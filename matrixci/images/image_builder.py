"""Build a cell image: first the stages that cells share, each once, then its own."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from matrixci.engine.labels import PROJECT_LABEL
from matrixci.errors import INFRASTRUCTURE
from matrixci.images.base_images import BaseImage
from matrixci.images.build_context import BuildFiles, LockParts, own_wheels, split_lock
from matrixci.images.build_services import BuildServices
from matrixci.images.buildx import Build
from matrixci.images.image_settings import ImageSettings
from matrixci.images.registry import Registry
from matrixci.locks.index_settings import build_secrets
from matrixci.locks.lock import Lock
from matrixci.model import now
from matrixci.util.once_map import OnceMap
from matrixci.util.temp_dirs import temporary_folder

_LAYERS: Final = {"nvidia": "CUDA libraries", "torch": "torch"}  # by stage of the Dockerfile


@dataclass(frozen=True, kw_only=True)
class ImageName:
    """Tags and labels of a cell image."""

    key: str
    """Digest of everything that the image is built from."""
    lock: str
    """Digest of its lock."""

    @property
    def tag(self) -> str:
        """The image's name on the engine."""
        return f"matrixci/cell:{self.key[:20]}"

    @property
    def shared(self) -> str:
        """The image's tag in a registry."""
        return f"cell-{self.lock[:12]}-{self.key[:12]}"

    @property
    def log(self) -> str:
        """Name of the build's log."""
        return f"image-{self.key[:12]}.log"

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which an image from a registry is recognized."""
        return {
            PROJECT_LABEL: "image",
            f"{PROJECT_LABEL}.key": self.key,
            f"{PROJECT_LABEL}.lock": self.lock,
        }


@dataclass(frozen=True, kw_only=True)
class ImageInputs:
    """Everything that a cell image is built from."""

    lock: Lock
    python: str
    """X.Y"""
    system_base: BaseImage
    python_base: BaseImage
    tools_base: BaseImage
    tools: Lock
    """The lock of the tools that install the other packages."""

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of the Dockerfile."""
        return {
            "OS_BASE": self.system_base.name,
            "TOOLS_BASE": self.tools_base.name,
            "PYTHON_BASE": self.python_base.name,
            "TORCH_BACKEND": self.lock.torch_backend or "",
        }

    @property
    def labels(self) -> dict[str, str]:
        """The labels that name the base image."""
        return {
            f"{PROJECT_LABEL}.base": self.python_base.digest,
            f"{PROJECT_LABEL}.base.name": self.python_base.name,
            f"{PROJECT_LABEL}.base.origin": self.python_base.origin,
        }


class ImageBuilder:
    """Builds of one run."""

    def __init__(self, services: BuildServices, settings: ImageSettings) -> None:
        self._services = services
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.jobs)
        self._stages: OnceMap[None] = OnceMap(retry_on=INFRASTRUCTURE)

    async def close(self) -> None:
        """Stop the builds in progress."""
        await self._stages.close()

    async def build(self, name: ImageName, inputs: ImageInputs) -> datetime:
        """Build a cell image; return the time at which the build of its last stage started.

        Raises:
            BuildError: a build failed or took too long.
            BaseImageError: a base image was removed meanwhile.
            EngineError: the engine failed, or its disk is full.
            ResolverError: the package index failed.
        """
        parts = split_lock(inputs.lock)
        with temporary_folder("build") as folder:
            context = folder / "context"
            secrets = await asyncio.to_thread(self._write, folder, context, parts, inputs)
            common = Build(
                context=context,
                dockerfile=context / "Dockerfile",
                secrets=secrets,
                arguments=inputs.arguments,
            )
            # Build shared stages alone first: parallel builds may each build them again
            # (moby/buildkit#2030).
            below = (inputs.system_base.digest, inputs.lock.torch_backend, parts.nvidia)
            await self._stages(below, lambda: self._stage(common, "nvidia", below, parts.nvidia))
            above = (*below, inputs.python_base.digest, parts.torch)
            await self._stages(above, lambda: self._stage(common, "torch", above, parts.torch))
            labels = {**name.labels, **inputs.labels}
            cell = replace(common, target="cell", tag=name.tag, labels=labels)
            key = name.key[:12]
            async with self._slots:
                started = now()
                with self._services.listener.stage(f"image of Python {inputs.python} ({key})"):
                    await self._run(cell, self._services.logs / name.log, f"cell-{key}")
        return started

    def _write(
        self, folder: Path, context: Path, parts: LockParts, inputs: ImageInputs
    ) -> Mapping[str, Path]:
        """Write the build context, and the secrets outside it; return the secrets."""
        files = BuildFiles(
            parts=parts,
            tools=inputs.tools,
            wheels=own_wheels(inputs.lock, self._settings.wheels),
            precompile=self._settings.precompile,
        )
        files.write(self._services.recipe, context)
        return build_secrets(folder, keep_wheels=self._settings.keep_wheels)

    async def _stage(self, common: Build, target: str, identity: object, installed: str) -> None:
        """Build a stage that several cells share; it may install nothing."""
        registry = self._services.registry
        key = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
        build = replace(common, target=target)
        shared = f"stage-{target}-{key}"
        if registry:
            build = _shared_stage(build, registry, shared)
        async with self._slots:
            title = f"layer of {_LAYERS[target]}" if installed else "shared layer"
            with self._services.listener.stage(f"{title} ({key})"):
                log = self._services.logs / f"{target}-{key}.log"
                await self._run(build, log, f"{target}-{key}")
        if registry:
            registry.push(registry.name(shared), shared)

    async def _run(self, build: Build, log: Path, name: str) -> None:
        services = self._services
        if services.cache:
            build = services.cache.apply(build, name)
        await services.build(services.engine, build, log, self._settings.time_limit)
        if services.cache:
            services.cache.examine(log)


def _shared_stage(build: Build, registry: Registry, tag: str) -> Build:
    """Return the build of a stage that takes its layers from a registry if possible.

    The stage becomes an image with an inline cache, which records the step of each layer. BuildKit
    pulls the layers that it finds there, whatever is built on top.
    """
    name = registry.name(tag)
    return replace(
        build,
        tag=name,
        labels={PROJECT_LABEL: "stage"},
        cache_from=[f"type=registry,ref={name}"] if registry.is_reachable else [],
        cache_to=["type=inline"],
    )
