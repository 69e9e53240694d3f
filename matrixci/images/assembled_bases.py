"""Base images assembled on this machine, without a registry.

The system image is a debootstrap root of this machine's own release. A Python image adds one of
this machine's CPythons in /usr/local, with the shared libraries that it needs: the layout of the
official Python images.
"""

import asyncio
import hashlib
import platform
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from matrixci.engine.labels import PROJECT_LABEL
from matrixci.errors import INFRASTRUCTURE, BaseImageError, NoInterpreterError
from matrixci.images.base_images import BaseImage
from matrixci.images.build_services import BuildServices
from matrixci.images.buildx import Build, BuildError
from matrixci.images.debootstrap import ROOT_PACKAGES, make_root
from matrixci.images.interpreter import (
    EXCLUDED,
    HostInterpreter,
    copy_interpreter,
    find_interpreter,
)
from matrixci.model import BaseOrigin
from matrixci.util.once_map import OnceMap
from matrixci.util.temp_dirs import temporary_folder

_BUILD_SECONDS: Final = 900.0
_DOCKERFILE: Final = "base.Dockerfile"
_SYSTEM: Final = "system"
_ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "aarch64"}  # engine's name to kernel's


class AssembledBases:
    """The assembled base images of one run."""

    def __init__(
        self,
        services: BuildServices,
        find: Callable[[str], Awaitable[HostInterpreter]] = find_interpreter,
    ) -> None:
        """Initialize; nothing is assembled yet.

        Args:
            services: builds, logs and shares the images.
            find: finds an interpreter of this machine by its version X.Y.
        """
        self._services = services
        self._find = find
        self._system: OnceMap[BaseImage] = OnceMap(retry_on=INFRASTRUCTURE)
        self._pulled: set[str] = set()
        self._absent: dict[str, str] = {}  # version X.Y to the reason that none was found

    async def system(self) -> BaseImage:
        """Return the image of this machine's operating system.

        Raises:
            BaseImageError: it cannot be assembled.
        """
        return await self._system(_SYSTEM, self._assemble_system, self._still_exists)

    async def python(self, version: str) -> BaseImage:
        """Return the image of Python X.Y.

        Raises:
            NoInterpreterError: this machine has no suitable interpreter.
            BaseImageError: it cannot be assembled otherwise.
        """
        self._check_architecture()
        interpreter = await self._interpreter(version)
        system = await self.system()
        key = self._key(system.digest, interpreter.version, str(interpreter.stdlib))
        tag = f"matrixci/python:{interpreter.version}-{key}"
        if not await self._is_available(tag, key):
            stage = f"base image of Python {interpreter.version}"
            listener = self._services.listener
            listener.said(f"assembling the {stage} from this machine's interpreter")
            with listener.stage(stage), temporary_folder("python") as folder:
                await asyncio.to_thread(copy_interpreter, interpreter, folder)
                await self._build_python(system, interpreter, folder, tag, key)
        return await self._finished(tag)

    async def close(self) -> None:
        """Stop the work in progress."""
        await self._system.close()

    async def _still_exists(self, base: BaseImage) -> bool:
        return await self._services.engine.images.digest(base.name) == base.digest

    def _check_architecture(self) -> None:
        """Refuse to assemble for an engine of another architecture.

        Raises:
            BaseImageError: it is another one.
        """
        here, there = platform.machine(), self._services.engine.facts.architecture
        if _kernel_name(here) != _kernel_name(there):
            msg = (
                f"Cannot assemble a base image from this machine's interpreters: it is {here}, "
                f"and the container engine is {there}.\nUnder base: in matrix.yaml, name images "
                "that the engine can pull, or use an engine of this machine's architecture."
            )
            raise BaseImageError(msg)

    async def _assemble_system(self) -> BaseImage:
        self._check_architecture()
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        key = self._key(release, *ROOT_PACKAGES)
        tag = f"matrixci/system:{release}-{key}"
        if not await self._is_available(tag, key):
            stage = f"base system ({release})"
            listener = self._services.listener
            listener.said(f"assembling the {stage} with debootstrap")
            with listener.stage(stage), temporary_folder("root") as folder:
                log = self._services.logs / "base-system.log"
                archive = await make_root(release, folder, log)
                await self._services.engine.images.import_root(archive, tag, _labels(key))
        return await self._finished(tag)

    async def _interpreter(self, version: str) -> HostInterpreter:
        """Find an interpreter; a failed search is not repeated for other cells."""
        if version in self._absent:
            raise NoInterpreterError(self._absent[version])
        try:
            return await self._find(version)
        except NoInterpreterError as error:
            self._absent[version] = str(error)
            raise

    async def _build_python(
        self, system: BaseImage, interpreter: HostInterpreter, context: Path, tag: str, key: str
    ) -> None:
        spec = Build(
            context=context,
            dockerfile=self._services.recipe / _DOCKERFILE,
            tag=tag,
            arguments={"OS_BASE": system.name},
            labels=_labels(key),
        )
        log = self._services.logs / f"base-python{interpreter.version}.log"
        try:
            await self._services.build(self._services.engine, spec, log, _BUILD_SECONDS)
        except BuildError as error:
            msg = f"Cannot build the base image of Python {interpreter.version}:\n{error}"
            raise BaseImageError(msg) from error

    async def _is_available(self, tag: str, key: str) -> bool:
        """Return whether an assembled image exists; pull it from the shared registry if possible.

        The registry's image takes precedence over this machine's. Two assembled images differ in
        the times of their files, so images built on different ones could not be shared.
        """
        registry = self._services.registry
        if registry and await registry.pull(_shared_tag(tag), tag, _labels(key)):
            self._pulled.add(tag)
            return True
        return await self._services.engine.images.digest(tag) is not None

    async def _finished(self, tag: str) -> BaseImage:
        digest = await self._services.engine.images.digest(tag)
        if digest is None:
            msg = f"The base image {tag} vanished from the engine."
            raise BaseImageError(msg)
        registry = self._services.registry
        if registry and tag not in self._pulled:
            registry.push(tag, _shared_tag(tag))
        return BaseImage(name=tag, digest=digest, origin=BaseOrigin.ASSEMBLED)

    def _key(self, *parts: str) -> str:
        recipe = (self._services.recipe / _DOCKERFILE).read_text(encoding="utf-8")
        return assembly_key(parts, machine=platform.machine(), recipe=recipe, excluded=EXCLUDED)


def assembly_key(
    parts: Sequence[str], *, machine: str, recipe: str, excluded: Sequence[str]
) -> str:
    """Return a short digest of everything that an assembled image is made from.

    Args:
        parts: what distinguishes the image.
        machine: the architecture.
        recipe: content of the Dockerfile.
        excluded: patterns of files that are not copied.
    """
    text = "\n".join([*parts, machine, recipe, ",".join(excluded)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _labels(key: str) -> dict[str, str]:
    return {PROJECT_LABEL: "base", f"{PROJECT_LABEL}.key": key}


def _shared_tag(tag: str) -> str:
    """Return an image's tag in a registry, which has one repository for all images."""
    return tag.rpartition("/")[2].replace(":", "-")


def _kernel_name(architecture: str) -> str:
    """Return the kernel's name of an architecture; engines and other systems use other names."""
    return _ARCHITECTURES.get(architecture.lower(), architecture)
