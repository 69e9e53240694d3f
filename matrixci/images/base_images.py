"""Base images: pulled from a registry, or assembled if no registry answers."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from matrixci.engine.client import Engine
from matrixci.errors import INFRASTRUCTURE, BaseImageError, EngineError
from matrixci.model import BaseOrigin
from matrixci.util.once_map import OnceMap


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """A base image on the engine."""

    name: str
    digest: str
    origin: BaseOrigin


class Assembler(Protocol):
    """Assembles base images on this machine, without a registry."""

    async def system(self) -> BaseImage:
        """Return an image of the operating system.

        Raises:
            BaseImageError: it cannot be assembled.
        """

    async def python(self, version: str) -> BaseImage:
        """Return an image of Python X.Y.

        Raises:
            BaseImageError: it cannot be assembled.
        """

    async def close(self) -> None:
        """Stop the work in progress."""


class BaseImages:
    """The base images of one run; each is pulled or assembled once."""

    def __init__(
        self,
        engine: Engine,
        assembler: Assembler,
        origin: BaseOrigin | None,
        say: Callable[[str], None],
    ) -> None:
        """Initialize; nothing is pulled yet.

        Args:
            engine: the engine to pull to.
            assembler: assembles base images without a registry.
            origin: the required origin; None: a registry if one answers.
            say: receives messages for the user, one line each.
        """
        self._engine = engine
        self._assembler = assembler
        self._origin = origin
        self._say = say
        self._images: OnceMap[BaseImage] = OnceMap(retry_on=INFRASTRUCTURE)
        self._registry = asyncio.Lock()

    async def system(self, name: str) -> BaseImage:
        """Return the operating system's image.

        Raises:
            BaseImageError: it can be neither pulled nor assembled.
        """
        return await self._images(
            name, lambda: self._get(name, self._assembler.system), self._still_exists
        )

    async def python(self, name: str, version: str) -> BaseImage:
        """Return the image that contains the interpreter of Python X.Y.

        Raises:
            BaseImageError: it can be neither pulled nor assembled.
        """
        return await self._images(
            name,
            lambda: self._get(name, lambda: self._assembler.python(version)),
            self._still_exists,
        )

    async def named(self, name: str) -> BaseImage:
        """Return the image that a cell names itself; it is never replaced by an assembled one.

        Raises:
            BaseImageError: the engine does not have it, and it cannot be pulled.
        """
        return await self._images(
            ("named", name), lambda: self._get_named(name), self._still_exists
        )

    async def close(self) -> None:
        """Stop the work in progress."""
        await self._images.close()
        await self._assembler.close()

    async def _still_exists(self, base: BaseImage) -> bool:
        return await self._engine.images.digest(base.name) == base.digest

    async def _get_named(self, name: str) -> BaseImage:
        if await self._engine.images.digest(name) is None:
            await self._pull(name)
        digest = await self._engine.images.digest(name)
        if digest is None:
            msg = f"No registry answers for {name}, the base image that the cell names."
            raise BaseImageError(msg)
        return BaseImage(name=name, digest=digest, origin=BaseOrigin.REGISTRY)

    async def _get(
        self, name: str, assemble: Callable[[], Coroutine[Any, Any, BaseImage]]
    ) -> BaseImage:
        if self._origin is not BaseOrigin.ASSEMBLED and await self._from_registry(name):
            digest = await self._engine.images.digest(name)
            if digest is not None:
                return BaseImage(name=name, digest=digest, origin=BaseOrigin.REGISTRY)
        if self._origin is BaseOrigin.REGISTRY:
            msg = f"No registry answers for {name}, and base images must come from one."
            raise BaseImageError(msg)
        return await assemble()

    async def _from_registry(self, name: str) -> bool:
        """Pull an image if needed; return False if no registry answers.

        After a failure, no registry is asked again.
        """
        async with self._registry:
            if await self._engine.images.digest(name) is not None:
                return True
            if self._origin is BaseOrigin.ASSEMBLED:
                return False
            pulled = await self._pull(name)
            if not pulled and self._origin is None:
                self._say(f"no registry answers for {name}: assembling base images locally")
                self._origin = BaseOrigin.ASSEMBLED
            return pulled

    async def _pull(self, name: str) -> bool:
        try:
            return await self._engine.images.pull(name)
        except EngineError as error:
            raise BaseImageError(str(error)) from error
