"""Wheels of our own: locks that install them, and where they are kept.

The subject's may be one. Each requirement with a URL (`name @ git+https://...`) has one, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import quote

from packaging.requirements import Requirement

from matrixci.locks.lock import Lock, Pin, Unsatisfiable
from matrixci.locks.resolver import Resolver
from matrixci.locks.subject import find_wheel
from matrixci.locks.wheel_fit import applies, fits
from matrixci.model import Cell, OwnWheel, Run, Subject

WHEELS: Final = "wheels"
"""The folder of these wheels, below the home and beside a plan."""


@dataclass(frozen=True, kw_only=True)
class KeptWheel:
    """A wheel of our own, and its file."""

    wheel: OwnWheel
    path: Path


class OwnWheelResolver(Resolver):
    """A resolver that replaces requirements with a URL by the wheels made from them."""

    def __init__(
        self,
        cache: Path,
        platform: str,
        as_of: date | None,
        *,
        fresh: bool,
        wheels: Sequence[OwnWheel] = (),
    ) -> None:
        """Set up.

        Args:
            cache: the folder in which answers are kept.
            platform: uv's --python-platform.
            as_of: only what was published up to the end of this day exists.
            fresh: kept answers are not used.
            wheels: those of the run.
        """
        super().__init__(cache, platform, as_of, fresh=fresh)
        self._wheels = wheels
        self._instead = {wheel.spec: wheel.requirement for wheel in wheels}

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return a cell's lock, or why there is none.

        Raises:
            ResolverError: the resolver could not answer.
        """
        for wheel in self._wheels:
            if wheel.spec in cell.requires and not _suits(wheel, cell.python):
                # uv takes a wheel for a newer Python than the one that it is asked for.
                reason = f"the wheel {wheel.wheel} is not for Python {cell.python}"
                return Unsatisfiable(reason=reason, detail=f"{wheel.spec}: {reason}")
        asked = cell.model_copy(update={"requires": self._instead_of(cell.requires)})
        answer = await super().resolve(asked, subject)
        return with_own_wheels(answer, self._wheels) if isinstance(answer, Lock) else answer

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements than a cell's in its place.

        Args:
            requires: the requirements.
            cell: gives the Python and the backend of torch.
            universal: resolve for any platform, and leave the dependencies out.

        Returns:
            The answer, or None where there is none.
        """
        return await super().probe(self._instead_of(requires), cell, universal=universal)

    def _instead_of(self, requires: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._instead.get(text, text) for text in requires)


def _suits(wheel: OwnWheel, python: str) -> bool:
    return not applies(Requirement(wheel.spec), python) or fits(wheel.wheel, python)


def with_own_wheels(lock: Lock, wheels: Iterable[OwnWheel]) -> Lock:
    """Return a lock that installs these wheels where it has their digests, and names their origin.

    Args:
        lock: as its text has it: a name, a version and hashes.
        wheels: those of a run.
    """
    own = {(wheel.name, f"sha256:{wheel.digest}"): wheel for wheel in wheels}

    def with_url(pin: Pin) -> Pin:
        found = [own[pin.name, each] for each in pin.hashes if (pin.name, each) in own]
        return replace(pin, url=_url(found[0].wheel), source=found[0].origin) if found else pin

    return replace(lock, pins=tuple(map(with_url, lock.pins)))


def with_subjects_wheel(lock: Lock, subject: Subject) -> Lock:
    """Return a lock that installs the subject's wheel, where the subject is one of our own."""
    if subject.wheel is None:
        return lock
    url = _url(subject.wheel)
    own = tuple(replace(pin, url=url) if pin.name == subject.name else pin for pin in lock.pins)
    return replace(lock, pins=own)


def with_wheels_of(lock: Lock, run: Run) -> Lock:
    """Return a lock that was read from a text as one that installs a run's wheels of our own."""
    return with_own_wheels(with_subjects_wheel(lock, run.subject), run.own_wheels)


def _url(wheel: str) -> str:
    # Only the wheel's name is of use: who installs it knows the folder.
    return f"file:///{quote(wheel)}"


def wheels_in(lock: Lock, wheels: Iterable[OwnWheel]) -> tuple[OwnWheel, ...]:
    """Return those of some wheels that a lock installs."""
    hashes = {each for pin in lock.pins for each in pin.hashes}
    return tuple(wheel for wheel in wheels if f"sha256:{wheel.digest}" in hashes)


def kept_wheels(wheels: Iterable[OwnWheel], home: Path, *more: Path) -> tuple[KeptWheel, ...]:
    """Return the files of a run's wheels.

    Args:
        wheels: as the run recorded them.
        home: where wheels are kept.
        more: other folders that have them, to look in first.

    Raises:
        SubjectError: one is gone, or another file by now.
    """
    found = []
    for wheel in wheels:
        places = [folder / place_of(wheel) for folder in (*more, home)]
        path = find_wheel(f"the wheel of {wheel.spec} is gone: {wheel.wheel}", wheel.digest, places)
        found.append(KeptWheel(wheel=wheel, path=path))
    return tuple(found)


def place_of(wheel: OwnWheel) -> Path:
    """Return a wheel's path below the home, or beside a plan.

    Two wheels may have one name: those of two commits.
    """
    return Path(WHEELS, wheel.digest[:16], wheel.wheel)


def compared_packages(run: Run) -> tuple[str, ...]:
    """Return the packages of which an index may have newer releases than a cell has."""
    own = {wheel.name for wheel in run.own_wheels}
    return tuple(name for name in (run.subject.name, *run.companions) if name not in own)
