"""Own wheels, built or downloaded by matrixci: the locks that install them and their storage.

The subject can be an own wheel. Each requirement with a URL (`name @ git+https://...`) is one.
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
from matrixci.locks.wheel_fit import marker_applies, wheel_fits
from matrixci.model import Cell, OwnWheel, Run, Subject

WHEELS: Final = "wheels"
"""Name of the folder of own wheels, in the work directory and next to a plan."""


@dataclass(frozen=True, kw_only=True)
class StoredWheel:
    """An own wheel and its file."""

    wheel: OwnWheel
    path: Path


class OwnWheelResolver(Resolver):
    """A resolver that replaces requirements with a URL by their own wheels."""

    def __init__(
        self,
        cache: Path,
        platform: str,
        as_of: date | None,
        *,
        fresh: bool,
        wheels: Sequence[OwnWheel] = (),
    ) -> None:
        """Initialize.

        Args:
            cache: folder of the answer cache.
            platform: value of uv's --python-platform.
            as_of: ignore everything published after this day.
            fresh: ignore cached answers.
            wheels: the own wheels of the run.
        """
        super().__init__(cache, platform, as_of, fresh=fresh)
        self._wheels = wheels
        self._replacements = {wheel.spec: wheel.requirement for wheel in wheels}

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or the proof that there is none.

        Raises:
            ResolverError: the resolver could not answer.
        """
        for wheel in self._wheels:
            if wheel.spec in cell.requires and not _suits(wheel, cell.python):
                # uv would accept a wheel for a newer Python than the requested one.
                reason = f"the wheel {wheel.wheel} is not for Python {cell.python}"
                return Unsatisfiable(reason=reason, detail=f"{wheel.spec}: {reason}")
        replaced = cell.model_copy(update={"requires": self._replaced(cell.requires)})
        answer = await super().resolve(replaced, subject)
        return with_own_wheels(answer, self._wheels) if isinstance(answer, Lock) else answer

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements, with the wheels in place of those that have a URL."""
        return await super().probe(self._replaced(requires), cell, universal=universal)

    def _replaced(self, requires: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._replacements.get(text, text) for text in requires)


def _suits(wheel: OwnWheel, python: str) -> bool:
    return not marker_applies(Requirement(wheel.spec), python) or wheel_fits(wheel.wheel, python)


def with_own_wheels(lock: Lock, wheels: Iterable[OwnWheel]) -> Lock:
    """Return a lock whose pins have the URL and origin of the own wheels with the same digest.

    Args:
        lock: a lock as parsed from text: names, versions and hashes.
        wheels: the own wheels of a run.
    """
    own = {(wheel.name, f"sha256:{wheel.digest}"): wheel for wheel in wheels}

    def with_url(pin: Pin) -> Pin:
        found = [own[pin.name, each] for each in pin.hashes if (pin.name, each) in own]
        return replace(pin, url=_url(found[0].wheel), source=found[0].origin) if found else pin

    return replace(lock, pins=tuple(map(with_url, lock.pins)))


def with_subjects_wheel(lock: Lock, subject: Subject) -> Lock:
    """Return a lock that installs the wheel of the subject, if the subject is an own wheel."""
    if subject.wheel is None:
        return lock
    url = _url(subject.wheel)
    own = tuple(replace(pin, url=url) if pin.name == subject.name else pin for pin in lock.pins)
    return replace(lock, pins=own)


def with_wheels_of(lock: Lock, run: Run) -> Lock:
    """Return a lock, as parsed from text, that installs the own wheels of a run."""
    return with_own_wheels(with_subjects_wheel(lock, run.subject), run.own_wheels)


def _url(wheel: str) -> str:
    # Only the file name is used: the folder depends on where the lock is installed.
    return f"file:///{quote(wheel)}"


def wheels_in(lock: Lock, wheels: Iterable[OwnWheel]) -> tuple[OwnWheel, ...]:
    """Return the wheels that a lock installs."""
    hashes = {each for pin in lock.pins for each in pin.hashes}
    return tuple(wheel for wheel in wheels if f"sha256:{wheel.digest}" in hashes)


def stored_wheels(
    wheels: Iterable[OwnWheel], work_dir: Path, *more: Path
) -> tuple[StoredWheel, ...]:
    """Return the own wheels of a run with their files.

    Args:
        wheels: the wheels recorded in the run.
        work_dir: the work directory.
        more: other folders to search first.

    Raises:
        SubjectError: a file is missing, or its contents have changed.
    """
    found = []
    for wheel in wheels:
        places = [folder / wheel_path(wheel) for folder in (*more, work_dir)]
        path = find_wheel(
            f"the wheel of {wheel.spec} is missing: {wheel.wheel}", wheel.digest, places
        )
        found.append(StoredWheel(wheel=wheel, path=path))
    return tuple(found)


def wheel_path(wheel: OwnWheel) -> Path:
    """Return the path of a wheel within the work directory, or next to a plan.

    The digest is part of it because wheels of two commits may have the same name.
    """
    return Path(WHEELS, wheel.digest[:16], wheel.wheel)


def compared_packages(run: Run) -> tuple[str, ...]:
    """Return the subject and its companions, except own wheels, which have no other releases."""
    own = {wheel.name for wheel in run.own_wheels}
    return tuple(name for name in (run.subject.name, *run.companions) if name not in own)
