"""Why a cell has an older release of a package than other cells have."""

from collections.abc import Iterable, Mapping

from packaging.version import Version

from matrixci.lock import Locks

Locked = tuple[str, Mapping[str, str]]
"""A cell's Python, X.Y, and its lock's normalised names with their versions."""


async def older_releases(
    resolver: Locks, packages: Iterable[str], locked: Mapping[str, Locked]
) -> dict[str, dict[str, str]]:
    """Return, for cells that have an older release of a package than others, why it is so.

    The resolver is asked for the newest alone; where that has an answer the reason is another
    requirement of the cell, and nothing is said.

    Args:
        resolver: the run's.
        packages: normalised names.
        locked: cell id to its Python and what it locks.
    """
    reasons: dict[str, dict[str, str]] = {}
    for package in packages:
        having = {
            name: (python, Version(versions[package]))
            for name, (python, versions) in locked.items()
            if package in versions
        }
        newest = max((version for _, version in having.values()), default=None)
        for name, (python, version) in having.items():
            if newest is not None and version < newest:
                reason = await resolver.why_not(f"{package}=={newest}", python)
                if reason is not None:
                    reasons.setdefault(name, {})[package] = reason
    return reasons
