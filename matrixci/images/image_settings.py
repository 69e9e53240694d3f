"""Everything that determines a cell image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matrixci.locks.lock import Lock


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """Inputs of a cell's image besides the settings of the run; never the checks."""

    lock: Lock
    python: str
    """X.Y"""
    base: str
    """Name of the interpreter's base image."""
    base_is_own: bool = False
    """The cell itself names the base image, so it must not be replaced by another."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Settings of all images of a run."""

    system: str
    """Name of the operating system's image, the lowest layer of all cells."""
    tools_python: str
    """X.Y of the interpreter that installs the packages that all Pythons share."""
    tools_base: str
    """Name of its base image."""
    precompile: tuple[str, ...]
    """Statements that run once in each image, so that the image includes their bytecode."""
    wheels: Mapping[str, Path]
    """SHA-256 to file of the wheels that matrixci built."""
    jobs: int
    """Maximum number of parallel builds."""
    keep_wheels: bool = True
    """Cache downloaded wheels on the engine for other builds."""
    time_limit: float
    """Of one build, in seconds."""
