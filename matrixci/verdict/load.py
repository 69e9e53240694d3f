"""Judge a run from its files."""

from pathlib import Path

from matrixci.model import now
from matrixci.runs.folder import read_run
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun


def judge_folder(
    folder: Path,
    baseline: Path | None = None,
    *,
    whole: bool = False,
    subject_version: str | None = None,
) -> JudgedRun:
    """Judge a run from its files alone.

    Args:
        folder: where they lie.
        baseline: the folder of an earlier run to compare with.
        whole: as a release is judged, where what was not verified stands against it.
        subject_version: the version that most cells must have.

    Raises:
        RunFilesError: the run itself can't be read.
    """
    before = None if baseline is None else judge_folder(baseline)
    stored = read_run(folder)
    return judge(
        stored.run,
        stored.results,
        stored.problems,
        now().date(),
        before,
        whole=whole,
        subject_version=subject_version,
    )
