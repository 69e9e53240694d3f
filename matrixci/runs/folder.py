"""The folder of a run: written atomically during the run, and readable on any machine."""

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
from matrixci.runs.documents import (
    EarlierVersionError,
    Shared,
    prefetch,
    read_json_document,
    without_collection,
)
from matrixci.util.files import keep_out_of_git, write_whole
from matrixci.util.invocation import called

RUNS: Final = "runs"
_LATEST: Final = "latest"
_HELD: Final = ".held"
_AHEAD: Final = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """The contents of a run folder: the run, its readable results, and problems."""

    run: Run
    results: dict[str, CellResult]
    problems: tuple[str, ...]
    folder: Path


class RunFolder:
    """The folder of one run. Each file is written completely or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.locks = path / "locks"
        self.cells = path / "cells"
        self.sboms = path / "sboms"

    @classmethod
    def create(cls, work_dir: Path, run_id: str) -> "RunFolder":
        """Create the folder of a new run below `work_dir`.

        Raises:
            RunFilesError: the folder cannot be created.
        """
        folder = cls(work_dir / RUNS / run_id)
        try:
            for path in (folder.logs, folder.locks, folder.cells):
                path.mkdir(parents=True)
            keep_out_of_git(work_dir)
        except OSError as error:
            msg = f"Cannot create the run folder: {error}"
            raise RunFilesError(msg) from error
        return folder

    @classmethod
    def emptied(cls, path: Path) -> "RunFolder":
        """Create an empty run folder at `path`, replacing an earlier run there.

        Raises:
            UsageError: the folder contains something other than a run.
            RunFilesError: the folder cannot be created.
        """
        folder = cls(path)
        try:
            if path.exists() and any(path.iterdir()):
                if not (path / "run.json").is_file():
                    msg = (
                        f"{path} is not empty and does not contain a run. Choose another --output."
                    )
                    raise UsageError(msg)
                shutil.rmtree(path)
            for part in (folder.logs, folder.locks, folder.cells):
                part.mkdir(parents=True)
        except OSError as error:
            msg = f"Cannot create the folder {path}: {error}"
            raise RunFilesError(msg) from error
        return folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes. The lock ends with this process.

        Raises:
            UsageError: another process holds the lock.
            RunFilesError: the folder cannot be written.
        """
        try:
            file = (self.path / _HELD).open("w", encoding="utf-8")
        except OSError as error:
            msg = f"Cannot write to the run folder: {error}"
            raise RunFilesError(msg) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"The run {self.path.name} is still in progress, in another process."
                raise UsageError(msg) from error
            except OSError as error:  # the file system does not support locks
                _log.debug("not locked: %s", error)
            yield

    def write_run(self, run: Run) -> None:
        """Write run.json.

        Raises:
            RunFilesError: the file cannot be written.
        """
        self._write(self.path / "run.json", run.model_dump_json(indent=1))

    def write_cell(self, result: CellResult) -> None:
        """Write the result of a cell.

        Raises:
            RunFilesError: the file cannot be written.
        """
        self._write(self.cells / f"{result.cell.id}.json", result.model_dump_json(indent=1))

    def write_lock(self, cell_id: str, text: str) -> str:
        """Write the constraints file of a cell; return its path relative to the run folder.

        Raises:
            RunFilesError: the file cannot be written.
        """
        path = self.locks / f"{cell_id}.txt"
        self._write(path, text)
        return str(path.relative_to(self.path))

    def write_sbom(self, cell_id: str, text: str) -> str:
        """Write the SBOM of a cell's image; return its path relative to the run folder.

        Raises:
            RunFilesError: the file cannot be written.
        """
        path = self.sboms / f"{cell_id}.cdx.json"
        self._write(path, text)
        return str(path.relative_to(self.path))

    def point_latest(self) -> None:
        """Make the link `latest` next to the runs point to this run.

        Raises:
            RunFilesError: the link cannot be created.
        """
        link = self.path.parent / _LATEST
        partial = link.with_name(f".{_LATEST}-{os.getpid()}")
        try:
            partial.unlink(missing_ok=True)
            partial.symlink_to(self.path.name)
            partial.replace(link)
        except OSError as error:
            msg = f"Cannot create {link}: {error}"
            raise RunFilesError(msg) from error

    def _write(self, path: Path, text: str) -> None:
        write_whole(path, text)


def new_run_id(began: datetime) -> str:
    """Return an id that sorts by time and is unique even within one second."""
    return f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def remove_run(folder: Path) -> None:
    """Remove a run and make `latest` point to the newest of the others.

    Raises:
        RunFilesError: the run cannot be removed.
    """
    runs = folder.parent
    try:
        shutil.rmtree(folder)
        stored = (path.parent for path in runs.glob("*/run.json"))
        left = sorted(path for path in stored if not path.is_symlink())
        if not left:
            (runs / _LATEST).unlink(missing_ok=True)
    except OSError as error:
        msg = f"Cannot remove {folder}: {error}"
        raise RunFilesError(msg) from error
    if left:
        RunFolder(left[-1]).point_latest()


def find_run(work_dir: Path, name: str | None) -> Path:
    """Return the folder of a run.

    Args:
        work_dir: the folder that contains the runs.
        name: a path, an id, or the beginning of an id; None: the latest run.

    Raises:
        UsageError: no run matches, or several do.
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
        first = "No runs yet" if name == _LATEST else f"No run {name!r}, and no other runs"
        msg = f"{first} in {runs}.\nStart one: {called('matrix')}"
        raise UsageError(msg)
    found = f"{len(matching)} runs match" if matching else "No run matches"
    msg = f"{found} {name!r}. Latest runs: {', '.join((matching or known)[-5:])}"
    raise UsageError(msg)


def read_run(folder: Path) -> StoredRun:
    """Read a run and the results of its cells. Unreadable results are listed as problems.

    Raises:
        RunFilesError: run.json is missing or invalid, or an earlier development version of
            matrixci wrote the files.
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
    prefetch(paths[:_AHEAD])
    for index, (cell, path) in enumerate(zip(run.cells, paths, strict=True)):
        if index % _AHEAD == 0:
            prefetch(paths[index + _AHEAD : index + 2 * _AHEAD])
        try:
            result = read_json_document(path, CellResult, share)
        except FileNotFoundError:
            continue  # the judgement reports cells without a result
        except EarlierVersionError as error:
            msg = f"{path}: {error}"
            raise RunFilesError(msg) from error
        except (OSError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        if (result.run, result.cell.id) != (run.id, cell.id):
            problems.append(f"{path.name}: belongs to cell {result.cell.id} of run {result.run}")
        elif result.cell != cell:
            problems.append(f"{path.name}: its cell differs from the cell that the run planned")
        else:
            results[cell.id] = result
    return StoredRun(run=run, results=results, problems=tuple(problems), folder=folder)


def _refuse_other_axes(run: Run) -> None:
    """Refuse a run whose cells do not fit its axes.

    Raises:
        ValueError: a cell has other axes, or there are none.
    """
    values = {axis: frozenset(names) for axis, names in run.axes.items()}
    for cell in run.cells:
        if cell.axes.keys() != values.keys() or any(
            value not in values[axis] for axis, value in cell.axes.items()
        ):
            msg = f"cell {cell.id} has other axes than the run"
            raise ValueError(msg)
    if not values:
        msg = "the run has no axes"
        raise ValueError(msg)
