"""Reasons why a cell does not have a release, from the resolver's proof that it cannot.

A reason uses only facts about this release, or about releases in the lock of the cell.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrixci.locks.derivation import Dependency, Derivation, exclude, name_of
from matrixci.locks.unsatisfiable import derivation_of, hints_of
from matrixci.model import Cell


@dataclass(frozen=True, kw_only=True)
class HeldBackRelease:
    """A release that other cells have and one cell does not."""

    package: str
    version: str

    def __str__(self) -> str:
        """Return name and version, such as torch 2.9.1."""
        return f"{self.package} {self.version}"

    @property
    def exact(self) -> str:
        """Requirement that names exactly this release."""
        return f"{self.package}=={self.version}"

    @property
    def within_bounds(self) -> str:
        """Requirement that only this release meets, without ==."""
        return f"{self.package}>={self.version},<={self.version}"

    def is_among(self, ranges: Sequence[str]) -> bool:
        """Return whether one of the ranges contains this release."""
        return any(_has(one, self.package, self.version) for one in ranges)


def python_reason(stderr: str, release: HeldBackRelease) -> str | None:
    """Return which other Python a release needs, or None if the proof does not say so.

    Args:
        stderr: output of the resolver for the release alone.
        release: the release.
    """
    facts = _understood(stderr)
    return None if facts is None else _python_reason(facts, release)


def release_fault(stderr: str, release: HeldBackRelease, cell: Cell) -> str | None:
    """Return why a release alone cannot be installed, or None if the proof does not say so.

    Args:
        stderr: output of the resolver for the release alone.
        release: the release.
        cell: the cell that does not have it.
    """
    facts = _understood(stderr)
    return None if facts is None else _release_fault(facts, hints_of(stderr), release, cell)


def conflict_reason(
    stderr: str, release: HeldBackRelease, cell: Cell, versions: Mapping[str, str]
) -> str | None:
    """Return which requirement of a cell excludes a release, or None if the proof does not say so.

    Args:
        stderr: output of the resolver for the cell's requirements together with the release.
        release: the release.
        cell: the cell that does not have it.
        versions: the lock of the cell, normalised name to version.
    """
    facts = _understood(stderr)
    if facts is None:
        return None
    for one in facts.required:
        if one != release.exact and exclude(one, release.exact):
            return f"{one} is required"
    for need in facts.dependencies:
        holds = exclude(need.requirement, release.exact)
        if holds and (holder := _locked(need, versions)):
            return f"{holder} needs {need.requirement}"
    return _dependency_fault(facts, hints_of(stderr), release, cell, versions)


def _understood(stderr: str) -> Derivation | None:
    try:
        facts = derivation_of(stderr)
    except ValueError:
        return None
    return facts if facts.understood else None


def _python_reason(facts: Derivation, release: HeldBackRelease) -> str | None:
    for need in facts.pythons:
        if release.is_among([need.package]):
            return f"{release} needs Python {need.requirement}"
    return None


def _release_fault(
    facts: Derivation, hints: str, release: HeldBackRelease, cell: Cell
) -> str | None:
    if reason := _python_reason(facts, release):
        return reason
    if release.is_among(facts.yanked):
        return f"{release} was yanked"
    if release.is_among(facts.wheelless):
        return f"{release} has {_without_wheel(release.package, hints, cell)}"
    if (
        release.package.startswith("torch")
        and cell.torch_backend
        and release.is_among(facts.absent)
    ):
        return f"{release} is not in PyTorch's index for {cell.torch_backend}"
    return None


def _without_wheel(package: str, hints: str, cell: Cell) -> str:
    name = re.escape(package)
    if re.search(rf"You require \w+ [\d.]+ \(.*?found wheels for `{name}`", hints):
        return f"no wheel for Python {cell.python}"
    if re.search(rf"Wheels are available for `{name}` \(.*?\) on the following platform", hints):
        return "no wheel for this platform"
    return "no usable wheel"


def _dependency_fault(
    facts: Derivation, hints: str, release: HeldBackRelease, cell: Cell, versions: Mapping[str, str]
) -> str | None:
    """Return which requirement of a release the cell cannot meet, and why."""
    for need in facts.dependencies:
        if not release.is_among([need.package]) or _is_met(need.requirement, versions):
            continue
        for why in _whys(facts, hints, need.requirement, cell, versions):
            return f"{release} needs {need.requirement}, {why}"
    return None


def _whys(
    facts: Derivation, hints: str, requirement: str, cell: Cell, versions: Mapping[str, str]
) -> Iterator[str]:
    yield from (f"and {one} is required" for one in facts.required if exclude(one, requirement))
    for need in facts.dependencies:
        if exclude(need.requirement, requirement) and (holder := _locked(need, versions)):
            yield f"and {holder} needs {need.requirement}"
    name = name_of(requirement)
    for need in facts.pythons:
        if name_of(need.package) == name:
            yield f"which needs Python {need.requirement}"
    if any(name_of(one) == name for one in facts.wheelless):
        yield f"which has {_without_wheel(name, hints, cell)}"


def _locked(need: Dependency, versions: Mapping[str, str]) -> str | None:
    """Return the release in a cell's lock that has a dependency, or None if another has it."""
    name = canonicalize_name(name_of(need.package))
    version = versions.get(name)
    return f"{name} {version}" if version and _has(need.package, name, version) else None


def _is_met(requirement: str, versions: Mapping[str, str]) -> bool:
    name = canonicalize_name(name_of(requirement))
    return name in versions and _has(requirement, name, versions[name])


def _has(requirement: str, package: str, version: str) -> bool:
    """Return whether a requirement names a package and allows a version."""
    if canonicalize_name(name_of(requirement)) != package:
        return False
    return Requirement(requirement).specifier.contains(version, prereleases=True)
