"""A run's folder: written atomically as the run goes on, read on any machine."""

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, UsageError
from matrixci.model import CellResult, Run
from matrixci.runs.documents import Shared, announce, read_json_document, without_collection
from matrixci.util.files import keep_out_of_git, write_whole
from matrixci.util.invocation import called

RUNS: Final = "runs"
_LATEST: Final = "latest"
_HELD: Final = ".held"
_AHEAD: Final = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What a run's folder holds: the run, the cells that can be read, and what is wrong."""

    run: Run
    results: dict[str, CellResult]
    problems: tuple[str, ...]
    folder: Path


class RunFolder:
    """Where one run writes its files; each file is whole or not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.locks = path / "locks"
        self.cells = path / "cells"
        self.sboms = path / "sboms"

    @classmethod
    def create(cls, work_dir: Path, run_id: str) -> "RunFolder":
        """Make the folder of a new run below `work_dir`.

        Raises:
            RunFilesError: it can't be written.
        """
        folder = cls(work_dir / RUNS / run_id)
        try:
            for path in (folder.logs, folder.locks, folder.cells):
                path.mkdir(parents=True)
            keep_out_of_git(work_dir)
        except OSError as error:
            msg = f"The run's folder can't be made: {error}"
            raise RunFilesError(msg) from error
        return folder

    @classmethod
    def emptied(cls, path: Path) -> "RunFolder":
        """Make a folder for a run of its own; what a run has left in it before is removed.

        Raises:
            UsageError: something else lies there.
            RunFilesError: it can't be written.
        """
        folder = cls(path)
        try:
            if path.exists() and any(path.iterdir()):
                if not (path / "run.json").is_file():
                    msg = f"{path} is not empty, and no run lies there; name another --output."
                    raise UsageError(msg)
                shutil.rmtree(path)
            for part in (folder.logs, folder.locks, folder.cells):
                part.mkdir(parents=True)
        except OSError as error:
            msg = f"The folder {path} cannot be made: {error}"
            raise RunFilesError(msg) from error
        return folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process write here meanwhile; the hold ends with this process.

        Raises:
            UsageError: another one does.
            RunFilesError: the folder can't be written.
        """
        try:
            file = (self.path / _HELD).open("w", encoding="utf-8")
        except OSError as error:
            msg = f"The run's folder can't be written: {error}"
            raise RunFilesError(msg) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"The run {self.path.name} is still under way, in another process."
                raise UsageError(msg) from error
            except OSError as error:  # a file system without locks
                _log.debug("not held: %s", error)
            yield

    def write_run(self, run: Run) -> None:
        """Write run.json.

        Raises:
            RunFilesError: it can't be written.
        """
        self._write(self.path / "run.json", run.model_dump_json(indent=1))

    def write_cell(self, result: CellResult) -> None:
        """Write a cell's result.

        Raises:
            RunFilesError: it can't be written.
        """
        self._write(self.cells / f"{result.cell.id}.json", result.model_dump_json(indent=1))

    def write_lock(self, cell_id: str, text: str) -> str:
        """Write a cell's constraints file; return its path within the run's folder.

        Raises:
            RunFilesError: it can't be written.
        """
        path = self.locks / f"{cell_id}.txt"
        self._write(path, text)
        return str(path.relative_to(self.path))

    def write_sbom(self, cell_id: str, text: str) -> str:
        """Write the bill of materials of a cell's image; return its path within the run's folder.

        Raises:
            RunFilesError: it can't be written.
        """
        path = self.sboms / f"{cell_id}.cdx.json"
        self._write(path, text)
        return str(path.relative_to(self.path))

    def point_latest(self) -> None:
        """Let the name `latest` beside the runs stand for this one.

        Raises:
            RunFilesError: it can't be made.
        """
        link = self.path.parent / _LATEST
        partial = link.with_name(f".{_LATEST}-{os.getpid()}")
        try:
            partial.unlink(missing_ok=True)
            partial.symlink_to(self.path.name)
            partial.replace(link)
        except OSError as error:
            msg = f"{link} cannot be made: {error}"
            raise RunFilesError(msg) from error

    def _write(self, path: Path, text: str) -> None:
        write_whole(path, text)


def new_run_id(began: datetime) -> str:
    """Return an id that sorts by time and differs between runs of one second."""
    return f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def forget_run(folder: Path) -> None:
    """Remove a run, and let the name `latest` stand for the newest that is left.

    Raises:
        RunFilesError: it can't be removed.
    """
    runs = folder.parent
    try:
        shutil.rmtree(folder)
        stored = (path.parent for path in runs.glob("*/run.json"))
        left = sorted(path for path in stored if not path.is_symlink())
        if not left:
            (runs / _LATEST).unlink(missing_ok=True)
    except OSError as error:
        msg = f"{folder} can't be removed: {error}"
        raise RunFilesError(msg) from error
    if left:
        RunFolder(left[-1]).point_latest()


def find_run(work_dir: Path, name: str | None) -> Path:
    """Return a run's folder by path, id, the beginning of an id, or (None) the latest.

    Raises:
        UsageError: there is none, or several.
    """
    runs = work_dir / RUNS
    if name is None:
        name = _LATEST
    if (Path(name) / "run.json").is_file():
        return Path(name)
    if (runs / name / "run.json").is_file():
        return (runs / name).resolve()
    known = sorted(
        path.parent.name for path in runs.glob("*/run.json") if path.parent.name != _LATEST
    )
    matching = [run for run in known if run.startswith(name)]
    if len(matching) == 1:
        return runs / matching[0]
    if not known:
        first = "No run yet" if name == _LATEST else f"There is no run {name!r}, nor any other"
        msg = f"{first} (looked in {runs}).\nMake one: {called('matrix')}"
        raise UsageError(msg)
    msg = f"No single run is meant by {name!r}; there are: {', '.join(known[-5:])}"
    raise UsageError(msg)


def read_run(folder: Path) -> StoredRun:
    """Read a run and the results of its cells; what can't be read is named, never left out.

    Raises:
        RunFilesError: run.json itself is missing or not readable.
    """
    with without_collection():
        return _read_run(folder)


def _read_run(folder: Path) -> StoredRun:
    try:
        run = read_json_document(folder / "run.json", Run)
        _refuse_other_axes(run)
    except (OSError, ValueError) as error:
        msg = f"{folder / 'run.json'}: {error}"
        raise RunFilesError(msg) from error
    results: dict[str, CellResult] = {}
    problems = []
    share = Shared()
    paths = [folder / "cells" / f"{cell.id}.json" for cell in run.cells]
    announce(paths[:_AHEAD])
    for index, (cell, path) in enumerate(zip(run.cells, paths, strict=True)):
        if index % _AHEAD == 0:
            announce(paths[index + _AHEAD : index + 2 * _AHEAD])
        try:
            result = read_json_document(path, CellResult, share)
        except FileNotFoundError:
            continue  # it never reported: the judgement says so
        except (OSError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        if (result.run, result.cell.id) != (run.id, cell.id):
            problems.append(f"{path.name}: is of cell {result.cell.id} in run {result.run}")
        elif result.cell != cell:
            problems.append(f"{path.name}: is of a cell that the run has not planned like this")
        else:
            results[cell.id] = result
    return StoredRun(run=run, results=results, problems=tuple(problems), folder=folder)


def _refuse_other_axes(run: Run) -> None:
    """Refuse a run whose cells would have no place in its table.

    Raises:
        ValueError: it is one.
    """
    values = {axis: frozenset(names) for axis, names in run.axes.items()}
    for cell in run.cells:
        if cell.axes.keys() != values.keys() or any(
            value not in values[axis] for axis, value in cell.axes.items()
        ):
            msg = f"its cell {cell.id} has other axes than the run"
            raise ValueError(msg)
    if not values:
        msg = "it has no axes"
        raise ValueError(msg)
