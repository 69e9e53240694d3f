"""Everything that builds of a run have in common besides their inputs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from matrixci.engine.client import Engine
from matrixci.images.build_cache import CacheInUse
from matrixci.images.buildx import Build, build
from matrixci.images.registry import Registry
from matrixci.util.resources import data_folder
from matrixci.util.stages import StageListener


@dataclass(frozen=True, kw_only=True)
class BuildServices:
    """The engine that builds images, and where they are logged and shared."""

    engine: Engine
    logs: Path
    """The folder for the logs of builds."""
    listener: StageListener
    """Receives the progress."""
    registry: Registry | None = None
    """Shares images with other machines."""
    cache: CacheInUse | None = None
    """BuildKit's external build cache."""
    build: Callable[[Engine, Build, Path, float], Awaitable[None]] = build
    recipe: Path = field(default_factory=lambda: data_folder("docker"))
    """The folder with the Dockerfiles and the scripts that they run."""
