"""Installed distributions, and whether requirements are met by them."""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.requirements import Requirement


def normalised(name: str) -> str:
    """Return the normalised name of a distribution, as in locks."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions() -> dict[str, importlib.metadata.Distribution]:
    """Return normalised name to installed distribution; the first on sys.path wins."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def same_version(one: str, other: str, *, local: bool = True) -> bool:
    """Return whether two versions are equal, with or without their local parts."""
    from packaging.version import Version

    first, second = Version(one), Version(other)
    return first == second if local else first.public == second.public


def unmet(requirement: Requirement, there: Mapping[str, str]) -> str | None:
    """Return why a requirement is not met by the installed versions; None if it is met."""
    version = there.get(normalised(requirement.name))
    if version is None:
        return f"{requirement}: not installed"
    if requirement.url is None and not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement}: {version} is installed"
    return None


def requirements_of(
    distribution: importlib.metadata.Distribution, extra: str = ""
) -> Iterator[Requirement]:
    """Yield the requirements of a distribution that apply here, or only those of one extra."""
    from packaging.requirements import Requirement

    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        by_extra = marker is not None and not always and marker.evaluate({"extra": extra})
        if by_extra if extra else always:
            yield requirement


def versions() -> dict[str, str]:
    """Return normalised name to installed version."""
    return {name: distribution.version for name, distribution in distributions().items()}
