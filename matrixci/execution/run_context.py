"""What all cells of a run share."""

from dataclasses import dataclass

from matrixci.engine.client import Engine
from matrixci.execution.listener import Listener
from matrixci.execution.settings import Settings
from matrixci.execution.used_images import UsedImages
from matrixci.images.base_contents import ContentsReader
from matrixci.images.base_images import BaseImages
from matrixci.images.cell_images import CellImages
from matrixci.images.registry import Registry
from matrixci.locks.providers import LockProvider
from matrixci.model import Run
from matrixci.runs.folder import RunFolder
from matrixci.runs.result_cache import ResultStore


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run, its folder, and the engine that it uses."""

    settings: Settings
    run: Run
    folder: RunFolder
    engine: Engine
    listener: Listener


@dataclass(frozen=True, kw_only=True)
class RunTools:
    """The sources of locks, images and earlier results of a run."""

    locks: LockProvider
    bases: BaseImages
    images: CellImages
    contents: ContentsReader
    registry: Registry | None
    used_images: UsedImages
    results: ResultStore

    async def finish(self) -> None:
        """Wait for uploads to the registry."""
        if self.registry:
            await self.registry.finish()

    async def close(self) -> None:
        """Cancel all work that is still in progress."""
        await self.images.close()
        await self.contents.close()
        await self.bases.close()
        await self.locks.close()
        if self.registry:
            await self.registry.close()
