"""Short descriptions of a run: its subject, versions and day."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

from matrixci.model import Run
from matrixci.verdict.judged import JudgedRun

_LISTED: Final = 3


def tracked(run: Run) -> tuple[str, ...]:
    """Return the packages whose versions a report shows: the subject and its companions."""
    return (run.subject.name, *run.companions)


def version_counts(judged: JudgedRun, name: str) -> Counter[str]:
    """Return the number of cells that have each version of a package in their lock."""
    return Counter(
        cell.result.lock.versions[name]
        for cell in judged.cells
        if cell.result and cell.result.lock and name in cell.result.lock.versions
    )


def headline_versions(judged: JudgedRun) -> dict[str, str]:
    """Return the most common version of the subject and of each companion."""
    counts = {name: version_counts(judged, name) for name in tracked(judged.run)}
    return {name: count.most_common(1)[0][0] for name, count in counts.items() if count}


def shown_versions(judged: JudgedRun) -> dict[str, str]:
    """Return the versions of the subject and of each companion over all cells.

    Versions are sorted, such as "1.26.4, 2.4.6, 2.5.5". If there are many, only the first and the
    last are shown.
    """
    found = {name: versions_of(judged, name) for name in tracked(judged.run)}
    return {name: versions for name, versions in found.items() if versions is not None}


def versions_of(judged: JudgedRun, name: str) -> str | None:
    """Return the versions of a package over all cells, or None if no cell has it."""
    versions = list(version_counts(judged, name))
    return _listed(versions) if versions else None


def subject_title(judged: JudgedRun) -> str:
    """Return the subject with its versions over all cells."""
    subject = judged.run.subject
    versions = versions_of(judged, subject.name)
    return f"{subject.name} {versions}" if versions is not None else subject.spec


def release_of(version: str) -> str:
    """Return a version without its local part, such as +cpu."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version


def _listed(versions: Sequence[str]) -> str:
    builds: dict[str, list[str]] = {}
    for version in versions:
        builds.setdefault(release_of(version), []).append(version)
    ordered = sorted(builds, key=_order)
    names = [builds[release][0] if len(builds[release]) == 1 else release for release in ordered]
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]} ({len(names)} versions)"


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return (True, Version(version), version)
    except InvalidVersion:
        return (False, Version("0"), version)


def occasion(run: Run) -> str:
    """Return the day of a run and its tier, if one was selected."""
    return " · ".join([day(run), *([f"tier {run.tier}"] if run.tier is not None else [])])


def day(run: Run) -> str:
    """Return the day of the package index that a run used, or else of the run itself."""
    return f"as of {run.as_of}" if run.as_of else f"{run.began:%Y-%m-%d}"
