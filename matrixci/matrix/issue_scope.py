"""Match known issues with checks and cells."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from matrixci.model import Cell, KnownIssue


def matches_check(issue: KnownIssue, check: str) -> bool:
    """Return whether the id or glob of a known issue matches a check."""
    # Brackets are literal: they are part of the id of a parametrized check.
    return check == issue.check or fnmatchcase(check, issue.check.replace("[", "[[]"))


def matches_cell(issue: KnownIssue, cell: Cell, versions: Mapping[str, str]) -> bool:
    """Return whether a known issue applies to a cell: to its axis values and versions."""
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
