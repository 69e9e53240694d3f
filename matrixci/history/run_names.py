"""Lookup of runs by id, prefix, folder, or a name such as `latest~1` or `last-green`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, UsageError
from matrixci.model import Run
from matrixci.runs.documents import read_json_document
from matrixci.runs.folder import RUNS, find_run
from matrixci.verdict.judged import JudgedRun, Verdict
from matrixci.verdict.load import judge_folder

LAST_GREEN: Final = "last-green"

_LATEST: Final = "latest"
_PREVIOUS: Final = "previous"
_BACK: Final = re.compile(rf"{_LATEST}~(\d{{1,6}})")
_LISTED: Final = 5
_MOST_READ: Final = 30
"""Maximum number of earlier runs to read when looking for the default baseline."""


def named_run(work_dir: Path, name: str | None) -> Path:
    """Return the folder of a run.

    Args:
        work_dir: the folder that contains the runs.
        name: an id or its beginning, a folder, `latest`, `latest~N` (N runs before the latest),
            `previous` (the same as `latest~1`), or `last-green` (the newest READY run with the
            subject and axes of the latest run). None means `latest`.

    Raises:
        UsageError: there is no such run, or a prefix matches several.
    """
    if name is None or _is_folder(work_dir, name):
        return find_run(work_dir, name)
    if name == LAST_GREEN:
        return _last_green(work_dir, find_run(work_dir, None), itself=True)
    if (count := _count(name)) is not None:
        return _back(work_dir, find_run(work_dir, None), count, name)
    return find_run(work_dir, name)


def named_baseline(work_dir: Path, name: str, of: Path) -> Path:
    """Return the folder of the baseline for a run.

    Here, `previous` and `last-green` mean runs before the given run.

    Args:
        work_dir: the folder that contains the runs.
        name: as for `named_run`.
        of: the folder of the run to compare with the baseline.

    Raises:
        UsageError: there is no such run, or a prefix matches several.
    """
    if name == LAST_GREEN and not _is_folder(work_dir, name):
        return _last_green(work_dir, of, itself=False)
    if name == _PREVIOUS and not _is_folder(work_dir, name):
        return _back(work_dir, of, 1, name)
    return named_run(work_dir, name)


def default_baseline(work_dir: Path, of: Path) -> Path | None:
    """Return the last green run before a run, or None if there is none in the same folder."""
    if of.resolve().parent != (work_dir / RUNS).resolve():
        return None
    try:
        return next(_green_before(work_dir, of, itself=False, most=_MOST_READ), None)
    except RunFilesError:
        return None  # reported when the run itself is read


def all_runs(work_dir: Path) -> list[Path]:
    """Return the folders of all runs, oldest first."""
    paths = sorted((work_dir / RUNS).glob("*/run.json"))
    return [path.parent for path in paths if path.parent.name != _LATEST]


def _count(name: str) -> int | None:
    """Return N for a name such as `latest~N`, or None for other names."""
    if name == _PREVIOUS:
        return 1
    found = _BACK.fullmatch(name)
    return None if found is None else int(found[1])


def _back(work_dir: Path, of: Path, count: int, name: str) -> Path:
    known = all_runs(work_dir)
    earlier = [path for path in known if path.name < of.resolve().name]
    if count == 0:
        return of
    if count > len(earlier):
        msg = f"No run {name!r}: there are {len(earlier)} runs before {of.name}.{_listed(known)}"
        raise UsageError(msg)
    return earlier[-count]


def _last_green(work_dir: Path, of: Path, *, itself: bool) -> Path:
    found = next(_green_before(work_dir, of, itself=itself), None)
    if found is None:
        what = "is READY" if itself else f"before {of.name} is READY"
        msg = f"No run {LAST_GREEN!r}: no run of this subject {what}.{_listed(all_runs(work_dir))}"
        raise UsageError(msg)
    return found


def _green_before(
    work_dir: Path, of: Path, *, itself: bool, most: int | None = None
) -> Iterator[Path]:
    """Yield the READY runs with the same subject and matrix, newest first.

    Args:
        work_dir: the folder that contains the runs.
        of: the folder of the run. Only earlier runs are considered.
        itself: whether to include the run itself.
        most: maximum number of runs to read; None: all.

    Raises:
        RunFilesError: the run itself cannot be read.
    """
    try:
        like = read_json_document(of / "run.json", Run)
    except (OSError, ValueError) as error:
        msg = f"{of / 'run.json'}: {error}"
        raise RunFilesError(msg) from error
    last = of.resolve().name
    earlier = [path for path in all_runs(work_dir) if path.name < last]
    wanted = [*earlier, of] if itself else earlier
    for path in wanted[::-1][:most]:
        if _reads_as_green(path, like):
            yield path


def _reads_as_green(path: Path, like: Run) -> bool:
    """Return whether a comparable run is READY; False if it cannot be read."""
    try:
        comparable = _is_alike(read_json_document(path / "run.json", Run), like)
        return comparable and _is_green(judge_folder(path))
    except (RunFilesError, OSError, ValueError):
        return False


def _is_alike(run: Run, other: Run) -> bool:
    """Return whether a run has the subject, axes and filter of another, and all its cells."""
    chosen = {cell.id for cell in run.cells}
    wanted = {cell.id for cell in other.cells} & (chosen | {*run.unselected})
    return (
        run.subject.name == other.subject.name
        and run.axes.keys() == other.axes.keys()
        and run.check_filter == other.check_filter
        and wanted <= chosen
    )


def _is_green(judged: JudgedRun) -> bool:
    return judged.verdict is Verdict.READY and not judged.run.interrupted


def _is_folder(work_dir: Path, name: str) -> bool:
    """Return whether a run folder has this name. Folders take precedence over special names."""
    return (Path(name) / "run.json").is_file() or (work_dir / RUNS / name / "run.json").is_file()


def _listed(known: list[Path]) -> str:
    names = ", ".join(path.name for path in known[-_LISTED:])
    more = f" (the last {_LISTED} of {len(known)})" if len(known) > _LISTED else ""
    return f" Runs: {names}{more}" if names else ""
