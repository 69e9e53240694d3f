"""Find cells with an older release of a package than other cells have, and the reason."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.held_back_reason import (
    HeldBackRelease,
    conflict_reason,
    python_reason,
    release_fault,
)
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.providers import LockProvider
from matrixci.locks.resolver import HARNESS_REQUIREMENTS
from matrixci.model import Cell, Subject


@dataclass(frozen=True, kw_only=True)
class LockedCell:
    """A cell with the versions of its lock."""

    cell: Cell
    versions: Mapping[str, str]
    """Mapping of normalised name to version."""


async def held_back_releases(
    resolver: LockProvider, subject: Subject, packages: Iterable[str], locked: Sequence[LockedCell]
) -> dict[str, dict[str, str]]:
    """Return the reason for each package that is older in one cell than in other cells.

    Args:
        resolver: the resolver of the run.
        subject: the subject of the run.
        packages: normalised names of the packages to compare.
        locked: the cells that have a lock.

    Returns:
        Mapping of cell id to package to reason. Packages without a known reason are left out.
    """
    pairs = [(cell, release) for name in packages for cell, release in _held_back(name, locked)]
    found = await asyncio.gather(*(_reason(resolver, subject, *pair) for pair in pairs))
    reasons: dict[str, dict[str, str]] = {}
    for (cell, release), reason in zip(pairs, found, strict=True):
        if reason is not None:
            reasons.setdefault(cell.cell.id, {})[release.package] = reason
    return reasons


def _held_back(
    package: str, locked: Sequence[LockedCell]
) -> Iterator[tuple[LockedCell, HeldBackRelease]]:
    """Yield the cells without the newest release of a package that any of the cells has."""
    # Local versions such as 2.9.1+cpu are builds of the same release.
    having = [
        (one, Version(one.versions[package]).public) for one in locked if package in one.versions
    ]
    newest = max((version for _, version in having), key=Version, default="0")
    for one, version in having:
        if Version(version) < Version(newest):
            yield one, HeldBackRelease(package=package, version=newest)


async def _reason(
    resolver: LockProvider, subject: Subject, locked: LockedCell, release: HeldBackRelease
) -> str | None:
    """Return the first known reason why a cell does not have a release."""
    cell = locked.cell
    own = _own_requirements(subject, cell, release.package)
    refusing = [one for one in own if not one.specifier.contains(release.version, prereleases=True)]
    if refusing:
        return f"{refusing[0]} is required"
    # If a release has wheels for newer Pythons only, uv names the required Python only when it
    # resolves for any platform.
    alone = await resolver.probe([release.exact], cell, universal=True)
    if isinstance(alone, Unsatisfiable) and (reason := python_reason(alone.detail, release)):
        return reason
    # uv accepts a yanked release if a requirement names it exactly, so this one gives bounds.
    alone = await resolver.probe([release.within_bounds], cell)
    if isinstance(alone, Unsatisfiable) and (reason := release_fault(alone.detail, release, cell)):
        return reason
    if Version(release.version).is_prerelease and not any(map(_names_prerelease, own)):
        return f"{release} is a pre-release"
    holders = await _holders(resolver, subject, locked, release.package)
    together = [
        subject.requirement,
        *cell.requires,
        *HARNESS_REQUIREMENTS,
        *holders,
        release.exact,
    ]
    answer = await resolver.probe(together, cell)
    if isinstance(answer, Unsatisfiable):
        return conflict_reason(answer.detail, release, cell, locked.versions)
    return None


def _own_requirements(subject: Subject, cell: Cell, package: str) -> list[Requirement]:
    """Return the requirements of the matrix on a package in a cell."""
    found = []
    for text in (subject.requirement, *cell.requires):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # the path of a wheel
            continue
        # Only the resolver evaluates markers.
        if canonicalize_name(requirement.name) == package and requirement.marker is None:
            found.append(requirement)
    return found


def _names_prerelease(requirement: Requirement) -> bool:
    return any(bool(clause.prereleases) for clause in requirement.specifier)


async def _holders(
    resolver: LockProvider, subject: Subject, locked: LockedCell, package: str
) -> list[str]:
    """Return exact requirements for the packages in a cell's lock that depend on a package."""
    try:
        lock = await resolver.resolve(locked.cell, subject)
    except (ResolverError, RunFilesError):
        return []
    if not isinstance(lock, Lock):
        return []
    pins = {pin.name: pin for pin in lock.pins}
    via = pins[package].via if package in pins else ()
    return [
        f"{name}=={locked.versions[name]}"
        for name in via
        if name in locked.versions and name in pins and pins[name].url is None
    ]
