"""What a run was about, in a few words: the versions that most of its cells have."""

from collections import Counter

from matrixci.judged import JudgedRun
from matrixci.model import Run


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


def subject_title(judged: JudgedRun) -> str:
    """Return the subject with the version that most cells have."""
    subject = judged.run.subject
    counts = version_counts(judged, subject.name)
    return f"{subject.name} {counts.most_common(1)[0][0]}" if counts else subject.spec


def occasion(run: Run) -> str:
    """Return the day that a run stands for, and the tier that was asked for."""
    return " · ".join([day(run), *([f"tier {run.tier}"] if run.tier is not None else [])])


def day(run: Run) -> str:
    """Return the day that a run stands for: of the index, or of the run itself."""
    return f"as of {run.as_of}" if run.as_of else f"{run.began:%Y-%m-%d}"
