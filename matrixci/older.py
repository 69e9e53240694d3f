"""Why a cell has an older release of a package than other cells have."""

from collections.abc import Iterable, Mapping

from packaging.version import Version

from matrixci.lock import Resolver
from matrixci.model import CellResult


async def older_releases(
    resolver: Resolver, packages: Iterable[str], results: Mapping[str, CellResult]
) -> dict[str, dict[str, str]]:
    """Return, for cells that have an older release of a package than others, why it is so.

    The resolver is asked for the newest alone; where that has an answer the reason is another
    requirement of the cell, and nothing is said.

    Args:
        resolver: the run's.
        packages: normalised names.
        results: cell id to result.
    """
    locks = {name: result.lock for name, result in results.items() if result.lock is not None}
    reasons: dict[str, dict[str, str]] = {}
    for package in packages:
        versions = [
            Version(lock.versions[package]) for lock in locks.values() if package in lock.versions
        ]
        for name, lock in locks.items():
            if package in lock.versions and Version(lock.versions[package]) < max(versions):
                newest = f"{package}=={max(versions)}"
                reason = await resolver.why_not(newest, results[name].cell.python)
                if reason is not None:
                    reasons.setdefault(name, {})[package] = reason
    return reasons
