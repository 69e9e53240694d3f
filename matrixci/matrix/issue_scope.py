"""Which checks and cells a known issue speaks of."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from matrixci.model import Cell, KnownIssue


def names(issue: KnownIssue, check: str) -> bool:
    """Return whether a known issue's pattern is that of a check."""
    # Brackets stand for themselves: they are part of a parametrised check's id.
    return check == issue.check or fnmatchcase(check, issue.check.replace("[", "[[]"))


def speaks_of(issue: KnownIssue, cell: Cell, versions: Mapping[str, str]) -> bool:
    """Return whether a known issue holds in a cell, whatever its checks."""
    return all(
        cell.axes.get(axis) in ((values,) if isinstance(values, str) else values)
        for axis, values in issue.where.items()
    ) and all(
        _fits(versions.get(canonicalize_name(package)), specifier)
        for package, specifier in issue.versions.items()
    )


@lru_cache(maxsize=4096)
def _fits(version: str | None, specifier: str) -> bool:
    return version is not None and SpecifierSet(specifier).contains(version, prereleases=True)
