"""Find the last stored run in which a cell was green."""

from pathlib import Path

from matrixci.errors import RunFilesError
from matrixci.model import CellResult, Run
from matrixci.outcomes import GREEN
from matrixci.reports.constraints import is_green
from matrixci.runs.documents import read_json_document
from matrixci.runs.folder import RUNS
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder


def last_green(work_dir: Path, of: JudgedRun, cell: str) -> Run | None:
    """Return the newest run of the same subject in which a cell is green, or None.

    Runs that cannot be read are skipped.

    Args:
        work_dir: the folder that contains the runs.
        of: the run to look back from. It is skipped itself.
        cell: the cell's id.
    """
    # The name of a run starts with its date and time.
    for path in sorted((work_dir / RUNS).glob(f"2*/cells/{cell}.json"), reverse=True):
        folder = path.parents[1]
        if folder.name == of.run.id or not _may_be_green(path):
            continue
        try:
            judged = judge_folder(folder)
        except RunFilesError:
            continue
        same = judged.run.subject.name == of.run.subject.name
        if same and any(each.cell.id == cell and is_green(each) for each in judged.cells):
            return judged.run
    return None


def _may_be_green(path: Path) -> bool:
    """Return whether a stored result is green, so that its run needs to be judged."""
    try:
        result = read_json_document(path, CellResult)
    except (OSError, ValueError):
        return False
    return result.outcome in GREEN and result.lock is not None
