"""Cell images: one for each distinct lock, reused, pulled or built."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from matrixci.errors import INFRASTRUCTURE, EngineError, NoInterpreterError
from matrixci.images.base_images import BaseImage, BaseImages
from matrixci.images.build_context import RECIPE
from matrixci.images.build_services import BuildServices
from matrixci.images.image_builder import ImageBuilder, ImageInputs, ImageName
from matrixci.images.image_settings import ImageRequest, ImageSettings
from matrixci.locks.providers import LockProvider
from matrixci.model import ImageRecord, now
from matrixci.util.once_map import OnceMap


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image on the engine, and the start and end of its own build."""

    record: ImageRecord
    system: str
    """Digest of the operating system's image, its lowest layer."""
    began: datetime
    ended: datetime


class CellImages:
    """The cell images of one run."""

    def __init__(
        self,
        services: BuildServices,
        bases: BaseImages,
        locks: LockProvider,
        settings: ImageSettings,
    ) -> None:
        """Initialize; nothing is built yet.

        Args:
            services: builds, logs and shares the images.
            bases: the base images.
            locks: resolves the tools that install the packages.
            settings: of all images of the run.
        """
        self._services = services
        self._bases = bases
        self._locks = locks
        self._settings = settings
        self._builder = ImageBuilder(services, settings)
        self._images: OnceMap[BuiltImage] = OnceMap(retry_on=INFRASTRUCTURE)

    async def image(self, request: ImageRequest) -> BuiltImage:
        """Return the image of a lock; build it if the engine does not have it.

        Raises:
            BuildError: the build failed or took too long.
            BaseImageError: a base image is unavailable, or was removed meanwhile.
            EngineError: the engine failed, or its disk is full.
            ResolverError: the tools could not be resolved, or the package index failed.
        """
        name = (request.base, request.base_is_own, request.lock.digest)
        return await self._images(name, lambda: self._image(request), self._still_exists)

    async def close(self) -> None:
        """Stop the builds in progress."""
        await self._images.close()
        await self._builder.close()

    async def _still_exists(self, image: BuiltImage) -> bool:
        digest = await self._services.engine.images.digest(image.record.tag)
        return digest == image.record.id

    async def _image(self, request: ImageRequest) -> BuiltImage:
        images, registry = self._services.engine.images, self._services.registry
        system = await self._bases.system(self._settings.system)
        python = await (
            self._bases.named(request.base)
            if request.base_is_own
            else self._bases.python(request.base, request.python)
        )
        name = ImageName(key=self._key(request, system, python), lock=request.lock.digest)
        began = now()
        reused = await images.digest(name.tag) is not None
        pulled = None
        if not reused and registry and await registry.pull(name.shared, name.tag, name.labels):
            pulled = registry.name(name.shared)
        if not reused and not pulled:
            began = await self._build(name, request, system, python)
        digest = await images.digest(name.tag)
        if digest is None:
            msg = f"The image {name.tag} vanished from the engine after its build."
            raise EngineError(msg)
        if registry and not pulled:
            registry.push(name.tag, name.shared)
        record = ImageRecord(
            tag=name.tag,
            id=digest,
            base=python.name,
            base_digest=python.digest,
            base_origin=python.origin,
            reused=reused,
            pulled=pulled,
            log=None if reused or pulled else f"{self._services.logs.name}/{name.log}",
        )
        return BuiltImage(record=record, system=system.digest, began=began, ended=now())

    async def _build(
        self, name: ImageName, request: ImageRequest, system: BaseImage, python: BaseImage
    ) -> datetime:
        tools_base, tools_python = await self._tools(request, python)
        inputs = ImageInputs(
            lock=request.lock,
            python=request.python,
            system_base=system,
            python_base=python,
            tools_base=tools_base,
            tools=await self._locks.tools(tools_python),
        )
        return await self._builder.build(name, inputs)

    async def _tools(self, request: ImageRequest, python: BaseImage) -> tuple[BaseImage, str]:
        """Return the base image of the tools, and its Python X.Y.

        All images of a run share it if its interpreter is available. If not, the image's own
        interpreter is used: a missing one must not fail other images.
        """
        settings = self._settings
        try:
            base = await self._bases.python(settings.tools_base, settings.tools_python)
        except NoInterpreterError:
            return python, request.python
        return base, settings.tools_python

    def _key(self, request: ImageRequest, system: BaseImage, python: BaseImage) -> str:
        """Return a digest of everything that the image is built from."""
        recipe = [(self._services.recipe / name).read_text(encoding="utf-8") for name in RECIPE]
        inputs = [request.lock.digest, system.digest, python.digest]
        text = "\0".join([*inputs, *recipe, *self._settings.precompile])
        return hashlib.sha256(text.encode()).hexdigest()
