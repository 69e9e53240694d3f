"""The build context of a cell image: its lock in parts, its wheels and the recipe."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matrixci.locks.lock import Lock, Pin, closure

RECIPE: Final = ("Dockerfile", "install-locked.sh", "gather-interpreter.sh", "precompile.py")
"""Files that every image is built with."""
_WHEELS: Final = "/run/wheels"


@dataclass(frozen=True, kw_only=True)
class LockParts:
    """The requirements of a lock, split by how widely their files can be shared."""

    nvidia: str
    """CUDA libraries: the same files for every Python."""
    torch: str
    """torch and its other dependencies: shared by all cells with the same Python."""
    rest: str


def split_lock(lock: Lock) -> LockParts:
    """Split a lock into CUDA libraries, torch with its dependencies, and the rest.

    The split only affects sharing: each part is installed in any case. Wheels that matrixci built
    are always in the rest, as they change with every build.
    """
    torch = closure(lock.pins, {"torch"}) - {pin.name for pin in lock.pins if pin.url}
    nvidia = [pin for pin in lock.pins if pin.name in torch and pin.name.startswith("nvidia-")]
    others = [pin for pin in lock.pins if pin.name in torch and pin not in nvidia]
    rest = [pin for pin in lock.pins if pin.name not in torch]
    return LockParts(nvidia=_text(nvidia), torch=_text(others), rest=_text(rest))


def own_wheels(lock: Lock, wheels: Mapping[str, Path]) -> tuple[Path, ...]:
    """Return the wheels, out of SHA-256 to file, that a lock installs.

    Any other wheel in the build context would needlessly change it.
    """
    digests = [each.removeprefix("sha256:") for pin in lock.pins if pin.url for each in pin.hashes]
    return tuple(wheels[digest] for digest in dict.fromkeys(digests) if digest in wheels)


@dataclass(frozen=True, kw_only=True)
class BuildFiles:
    """Content of a build context."""

    parts: LockParts
    tools: Lock
    wheels: Sequence[Path]
    precompile: Sequence[str]

    def write(self, recipe: Path, context: Path) -> None:
        """Write the build context.

        Args:
            recipe: the folder with the files of RECIPE.
            context: the folder to create.
        """
        (context / "wheels").mkdir(parents=True)
        for name in RECIPE:
            shutil.copy2(recipe / name, context)
        for wheel in self.wheels:
            shutil.copy2(wheel, context / "wheels")
        texts = {
            "tools.txt": self.tools.text,
            "nvidia.txt": self.parts.nvidia,
            "torch.txt": self.parts.torch,
            "rest.txt": self.parts.rest,
            "precompile.txt": "".join(f"{line}\n" for line in self.precompile),
        }
        for name, text in texts.items():
            (context / name).write_text(text, encoding="utf-8")


def _text(pins: Sequence[Pin]) -> str:
    return "".join(f"{pin.install_line(_WHEELS)}\n" for pin in pins)
