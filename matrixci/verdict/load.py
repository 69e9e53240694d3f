"""Judgement of a run from its files."""

from pathlib import Path

from matrixci.model import now
from matrixci.runs.folder import read_run
from matrixci.verdict.judge import JudgeOptions, judge
from matrixci.verdict.judged import JudgedRun


def judge_folder(
    folder: Path,
    baseline: Path | None = None,
    *,
    for_release: bool = False,
    subject_version: str | None = None,
) -> JudgedRun:
    """Judge a run, given only its files.

    Args:
        folder: the run's folder.
        baseline: the folder of an earlier run to compare with.
        for_release: see `JudgeOptions`.
        subject_version: the version that most cells must have.

    Raises:
        RunFilesError: the run cannot be read.
    """
    options = JudgeOptions(
        baseline=None if baseline is None else judge_folder(baseline),
        for_release=for_release,
        subject_version=subject_version,
    )
    stored = read_run(folder)
    return judge(stored.run, stored.results, stored.problems, now().date(), options)
