"""What a run is about, in a few words: the versions that its cells have."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

from matrixci.model import Run
from matrixci.verdict.judged import JudgedRun

_LISTED: Final = 3


def tracked(run: Run) -> tuple[str, ...]:
    """Return the names whose versions a report shows: the subject and its declared companions."""
    return (run.subject.name, *run.companions)


def version_counts(judged: JudgedRun, name: str) -> Counter[str]:
    """Count in how many cells each version of a package is locked."""
    return Counter(
        cell.result.lock.versions[name]
        for cell in judged.cells
        if cell.result and cell.result.lock and name in cell.result.lock.versions
    )


def headline_versions(judged: JudgedRun) -> dict[str, str]:
    """Return the version of the subject and its declared companions that most cells have."""
    counts = {name: version_counts(judged, name) for name in tracked(judged.run)}
    return {name: count.most_common(1)[0][0] for name, count in counts.items() if count}


def shown_versions(judged: JudgedRun) -> dict[str, str]:
    """Return every version that the cells have of the subject and its declared companions.

    Versions are in order, such as "1.26.4, 2.4.6, 2.5.5"; of more than a few, the first and the
    last are shown.
    """
    told = {name: versions_of(judged, name) for name in tracked(judged.run)}
    return {name: versions for name, versions in told.items() if versions is not None}


def versions_of(judged: JudgedRun, name: str) -> str | None:
    """Return every version that the cells have of a package; None where none has it."""
    versions = list(version_counts(judged, name))
    return _listed(versions) if versions else None


def subject_title(judged: JudgedRun) -> str:
    """Return the subject with every version that the cells have of it."""
    subject = judged.run.subject
    versions = versions_of(judged, subject.name)
    return f"{subject.name} {versions}" if versions is not None else subject.spec


def release_of(version: str) -> str:
    """Return a version without what tells builds of one release apart, such as +cpu."""
    try:
        return Version(version).public
    except InvalidVersion:
        return version


def _listed(versions: Sequence[str]) -> str:
    builds: dict[str, list[str]] = {}
    for version in versions:
        builds.setdefault(release_of(version), []).append(version)
    ordered = sorted(builds, key=_order)
    told = [builds[release][0] if len(builds[release]) == 1 else release for release in ordered]
    if len(told) <= _LISTED:
        return ", ".join(told)
    return f"{told[0]} … {told[-1]} ({len(told)} versions)"


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return (True, Version(version), version)
    except InvalidVersion:
        return (False, Version("0"), version)


def occasion(run: Run) -> str:
    """Return the day that a run stands for, and the tier that was asked for."""
    return " · ".join([day(run), *([f"tier {run.tier}"] if run.tier is not None else [])])


def day(run: Run) -> str:
    """Return the day that a run stands for: of the index, or of the run itself."""
    return f"as of {run.as_of}" if run.as_of else f"{run.began:%Y-%m-%d}"
