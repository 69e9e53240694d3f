"""Find why a cell has an older release of a package than other cells have."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.held_back_reason import Unused, needed_python, own_fault, reason_of_conflict
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.providers import LockProvider
from matrixci.locks.resolver import HARNESS_REQUIREMENTS
from matrixci.model import Cell, Subject


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A cell and what its lock has."""

    cell: Cell
    versions: Mapping[str, str]
    """Normalised name to version."""


async def older_releases(
    resolver: LockProvider, subject: Subject, packages: Iterable[str], locked: Sequence[Locked]
) -> dict[str, dict[str, str]]:
    """Return the cells that have an older release of a package than other cells, with the reason.

    Args:
        resolver: the run's.
        subject: the run's.
        packages: normalised names.
        locked: the cells that have a lock.

    Returns:
        Cell id to package to reason. A package whose reason isn't understood is left out.
    """
    asked = [(one, unused) for name in packages for one, unused in _unused(name, locked)]
    found = await asyncio.gather(*(_reason(resolver, subject, *each) for each in asked))
    reasons: dict[str, dict[str, str]] = {}
    for (one, unused), reason in zip(asked, found, strict=True):
        if reason is not None:
            reasons.setdefault(one.cell.id, {})[unused.package] = reason
    return reasons


def _unused(package: str, locked: Sequence[Locked]) -> Iterator[tuple[Locked, Unused]]:
    """Yield the cells that don't use the newest release of a package that the cells have."""
    # Local versions such as 2.9.1+cpu tell builds of one release apart.
    having = [
        (one, Version(one.versions[package]).public) for one in locked if package in one.versions
    ]
    newest = max((version for _, version in having), key=Version, default="0")
    for one, version in having:
        if Version(version) < Version(newest):
            yield one, Unused(package=package, version=newest)


async def _reason(
    resolver: LockProvider, subject: Subject, locked: Locked, unused: Unused
) -> str | None:
    """Return why a cell doesn't use a release: the first true reason of those that there are."""
    cell = locked.cell
    own = _own_requirements(subject, cell, unused.package)
    refusing = [one for one in own if not one.specifier.contains(unused.version, prereleases=True)]
    if refusing:
        return f"{refusing[0]} is required"
    # Of a release with wheels for newer Pythons alone, uv tells what Python it needs only where it
    # resolves for any platform.
    alone = await resolver.probe([unused.exact], cell, universal=True)
    if isinstance(alone, Unsatisfiable) and (reason := needed_python(alone.detail, unused)):
        return reason
    # A yanked release is refused only where no requirement names it exactly.
    alone = await resolver.probe([unused.within_bounds], cell)
    if isinstance(alone, Unsatisfiable) and (reason := own_fault(alone.detail, unused, cell)):
        return reason
    if Version(unused.version).is_prerelease and not any(map(_names_prerelease, own)):
        return f"{unused} is a pre-release"
    holders = await _holders(resolver, subject, locked, unused.package)
    together = [subject.requirement, *cell.requires, *HARNESS_REQUIREMENTS, *holders, unused.exact]
    answer = await resolver.probe(together, cell)
    if isinstance(answer, Unsatisfiable):
        return reason_of_conflict(answer.detail, unused, cell, locked.versions)
    return None


def _own_requirements(subject: Subject, cell: Cell, package: str) -> list[Requirement]:
    """Return what the matrix itself requires of a package in a cell."""
    found = []
    for text in (subject.requirement, *cell.requires):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # the path of a wheel
            continue
        # Whether a marker holds is for the resolver to tell.
        if canonicalize_name(requirement.name) == package and requirement.marker is None:
            found.append(requirement)
    return found


def _names_prerelease(requirement: Requirement) -> bool:
    return any(bool(clause.prereleases) for clause in requirement.specifier)


async def _holders(
    resolver: LockProvider, subject: Subject, locked: Locked, package: str
) -> list[str]:
    """Return the exact releases in a cell's lock that depend on a package."""
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
