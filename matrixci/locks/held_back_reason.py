"""Say why a release isn't used in a cell, from the resolver's proof that it can't be.

Only what the proof states of this release, or of releases that the cell has, becomes a reason.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrixci.locks.derivation import Derivation, Need, exclude, name_of
from matrixci.locks.unsatisfiable import derivation_of, hints_of
from matrixci.model import Cell


@dataclass(frozen=True, kw_only=True)
class Unused:
    """A release that other cells have and a cell doesn't."""

    package: str
    version: str

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.package} {self.version}"

    @property
    def exact(self) -> str:
        """The requirement of exactly this release."""
        return f"{self.package}=={self.version}"

    @property
    def within_bounds(self) -> str:
        """The requirement of this release that doesn't name it exactly."""
        return f"{self.package}>={self.version},<={self.version}"

    def is_among(self, ranges: Sequence[str]) -> bool:
        """Tell whether one of some ranges of releases has this one."""
        return any(_has(one, self.package, self.version) for one in ranges)


def needed_python(stderr: str, unused: Unused) -> str | None:
    """Return which other Python a release needs; None where the proof doesn't tell.

    Args:
        stderr: what the resolver said of the release alone.
        unused: the release.
    """
    facts = _understood(stderr)
    return None if facts is None else _needed_python(facts, unused)


def own_fault(stderr: str, unused: Unused, cell: Cell) -> str | None:
    """Return why a release can't be used by itself; None where the proof doesn't tell.

    Args:
        stderr: what the resolver said of the release alone.
        unused: the release.
        cell: where it isn't used.
    """
    facts = _understood(stderr)
    return None if facts is None else _own_fault(facts, hints_of(stderr), unused, cell)


def reason_of_conflict(
    stderr: str, unused: Unused, cell: Cell, versions: Mapping[str, str]
) -> str | None:
    """Return what in a cell excludes a release; None where the proof doesn't tell.

    Args:
        stderr: what the resolver said of the cell's requirements together with the release.
        unused: the release.
        cell: where it isn't used.
        versions: the cell's lock: normalised name to version.
    """
    facts = _understood(stderr)
    if facts is None:
        return None
    for one in facts.required:
        if one != unused.exact and exclude(one, unused.exact):
            return f"{one} is required"
    for need in facts.needs:
        holds = exclude(need.requirement, unused.exact)
        if holds and (holder := _locked(need, versions)):
            return f"{holder} needs {need.requirement}"
    return _fault_of_needed(facts, hints_of(stderr), unused, cell, versions)


def _understood(stderr: str) -> Derivation | None:
    try:
        facts = derivation_of(stderr)
    except ValueError:
        return None
    return facts if facts.understood else None


def _needed_python(facts: Derivation, unused: Unused) -> str | None:
    for need in facts.pythons:
        if unused.is_among([need.package]):
            return f"{unused} needs Python {need.requirement}"
    return None


def _own_fault(facts: Derivation, hints: str, unused: Unused, cell: Cell) -> str | None:
    if reason := _needed_python(facts, unused):
        return reason
    if unused.is_among(facts.yanked):
        return f"{unused} was yanked"
    if unused.is_among(facts.wheelless):
        return f"{unused} has {_without_wheel(unused.package, hints, cell)}"
    if unused.package.startswith("torch") and cell.torch_backend and unused.is_among(facts.absent):
        return f"{unused} is not in PyTorch's index for {cell.torch_backend}"
    return None


def _without_wheel(package: str, hints: str, cell: Cell) -> str:
    name = re.escape(package)
    if re.search(rf"You require \w+ [\d.]+ \(.*?found wheels for `{name}`", hints):
        return f"no wheel for Python {cell.python}"
    if re.search(rf"Wheels are available for `{name}` \(.*?\) on the following platform", hints):
        return "no wheel for this platform"
    return "no usable wheel"


def _fault_of_needed(
    facts: Derivation, hints: str, unused: Unused, cell: Cell, versions: Mapping[str, str]
) -> str | None:
    """Return which requirement of a release itself a cell can't meet, and why."""
    for need in facts.needs:
        if not unused.is_among([need.package]) or _is_met(need.requirement, versions):
            continue
        for why in _whys(facts, hints, need.requirement, cell, versions):
            return f"{unused} needs {need.requirement}, {why}"
    return None


def _whys(
    facts: Derivation, hints: str, requirement: str, cell: Cell, versions: Mapping[str, str]
) -> Iterator[str]:
    yield from (f"and {one} is required" for one in facts.required if exclude(one, requirement))
    for need in facts.needs:
        if exclude(need.requirement, requirement) and (holder := _locked(need, versions)):
            yield f"and {holder} needs {need.requirement}"
    name = name_of(requirement)
    for need in facts.pythons:
        if name_of(need.package) == name:
            yield f"which needs Python {need.requirement}"
    if any(name_of(one) == name for one in facts.wheelless):
        yield f"which has {_without_wheel(name, hints, cell)}"


def _locked(need: Need, versions: Mapping[str, str]) -> str | None:
    """Return the release in a cell's lock that has a need; None where the need isn't its own."""
    name = canonicalize_name(name_of(need.package))
    version = versions.get(name)
    return f"{name} {version}" if version and _has(need.package, name, version) else None


def _is_met(requirement: str, versions: Mapping[str, str]) -> bool:
    name = canonicalize_name(name_of(requirement))
    return name in versions and _has(requirement, name, versions[name])


def _has(requirement: str, package: str, version: str) -> bool:
    """Tell whether a requirement is of a package and admits a version."""
    if canonicalize_name(name_of(requirement)) != package:
        return False
    return Requirement(requirement).specifier.contains(version, prereleases=True)
