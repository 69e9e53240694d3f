"""Merges cells that ran on several machines into one run."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, UsageError
from matrixci.fanout.plan import Plan, read_plan
from matrixci.model import Cell, CellOutcome, CellResult, Reason, Run
from matrixci.outcomes import CONCLUSIVE
from matrixci.runs.documents import read_json_document
from matrixci.runs.folder import RUNS, RunFolder, StoredRun, read_run
from matrixci.runs.stored_checks import checks_file
from matrixci.util.files import keep_out_of_git
from matrixci.util.text import listed, several

PLAN: Final = "plan.json"
_RUN: Final = "run.json"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A merged run."""

    folder: Path
    remarks: tuple[str, ...]
    """What was left out and why, one line each."""


def find_plan(folders: Sequence[Path], default: Path) -> Plan:
    """Return the plan found below some folders, or else the one made on this machine.

    Args:
        folders: the folders with the results.
        default: the file that `plan` writes by default.

    Raises:
        UsageError: there is no plan, or there are different ones.
    """
    paths = [path for folder in folders for path in _files(folder, PLAN)]
    if not paths and default.is_file():
        return read_plan(default)
    plans = {plan.digest: plan for plan in map(read_plan, paths)}
    if len(plans) == 1:
        return next(iter(plans.values()))
    where = listed(str(folder) for folder in folders)
    if not plans:
        msg = f"No {PLAN} found below {where}. Name the plan: --plan {PLAN}"
    else:
        found = listed(str(path) for path in paths)
        msg = f"Found {len(plans)} different plans below {where}: {found}. Name one: --plan {PLAN}"
    raise UsageError(msg)


def merge(plan: Plan, folders: Sequence[Path], work_dir: Path) -> Merged:
    """Merge the results below some folders into one run in the work directory.

    An earlier merge of the same run is replaced. A result that cannot be read becomes a remark,
    and its cell is missing from the run.

    Args:
        plan: the plan of all results.
        folders: folders that are or contain results of cells.
        work_dir: the folder of runs.

    Raises:
        UsageError: a result belongs to another plan, or a cell has two different results.
        RunFilesError: a folder cannot be read, or the run cannot be written.
    """
    target = work_dir / RUNS / plan.run.id
    found, remarks = _read_all(plan, folders, target)
    chosen = {cell.id: one for cell in plan.run.cells if (one := _choose(cell, found))}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".merging-") as name:
            made = RunFolder.create(Path(name), plan.run.id)
            for cell in plan.run.cells:
                if cell.id in chosen:
                    _copy(chosen[cell.id], cell, made)
                elif refusal := plan.unsatisfiable.get(cell.id):
                    made.write_cell(
                        CellResult(
                            run=plan.run.id,
                            cell=cell,
                            outcome=CellOutcome.UNSATISFIABLE,
                            reason=Reason.RESOLVER,
                            message=refusal.reason,
                            detail=refusal.detail,
                        )
                    )
            made.write_run(_whole(plan, chosen))
            if target.exists():
                shutil.rmtree(target)
            made.path.replace(target)
        keep_out_of_git(work_dir)
    except OSError as error:
        msg = f"The cells cannot be merged into {target}: {error}"
        raise RunFilesError(msg) from error
    RunFolder(target).point_latest()
    return Merged(folder=target, remarks=tuple(remarks))


def _read_all(
    plan: Plan, folders: Iterable[Path], target: Path
) -> tuple[list[StoredRun], list[str]]:
    """Return the runs below some folders, and remarks about unreadable ones."""
    found = []
    remarks = []
    foreign = []
    seen: set[Path] = set()
    for path in (each for folder in folders for each in _files(folder, _RUN)):
        place = path.parent.resolve()
        if place in seen or place.is_relative_to(target.resolve()):
            continue
        seen.add(place)
        try:
            run = read_json_document(path, Run)
            if (run.id, run.plan) != (plan.run.id, plan.digest):
                foreign.append(f"{path.parent}: belongs to run {run.id}")
                continue
            stored = read_run(path.parent)
            foreign += _otherwise_locked(plan, stored)
            found.append(stored)
        except (OSError, ValueError, RunFilesError) as error:
            remarks.append(f"{path} cannot be read: {error}")
    if foreign:
        foreign.sort()
        every = "\n  ".join(foreign)
        msg = f"These results do not belong to the plan of run {plan.run.id}:\n  {every}"
        raise UsageError(msg)
    return found, remarks


def _otherwise_locked(plan: Plan, stored: StoredRun) -> Iterator[str]:
    """Yield results whose lock is not the planned one."""
    for name, result in stored.results.items():
        planned = plan.cells.get(name)
        if result.lock is not None and (planned is None or result.lock.digest != planned.lock):
            yield f"{stored.folder}: cell {name} has another lock"


def _choose(cell: Cell, found: Sequence[StoredRun]) -> StoredRun | None:
    """Return the run to take the result of a cell from, or None if no run has one.

    Raises:
        UsageError: there are two different final results.
    """
    here = [one for one in found if _has(one, cell)]
    final = [
        one for one in here if cell.id in one.results and one.results[cell.id].outcome in CONCLUSIVE
    ]
    if any(one.results[cell.id] != final[0].results[cell.id] for one in final):
        where = listed(f"{one.folder} ({one.results[cell.id].outcome})" for one in final)
        msg = (
            f"Cell {cell.id} has {several(len(final), 'result')} that differ: {where}.\n"
            f"Leave out the folders of all but one."
        )
        raise UsageError(msg)
    readable = [one for one in here if cell.id in one.results]
    return next(iter([*final, *readable, *here]), None)


def _has(stored: StoredRun, cell: Cell) -> bool:
    return (stored.folder / "cells" / f"{cell.id}.json").is_file()


def _copy(stored: StoredRun, cell: Cell, made: RunFolder) -> None:
    """Copy the files of a cell without validating them; that is done when they are read."""
    files = {f"cells/{cell.id}.json"}
    files |= {checks_file(stored.run.setup.checks_digest)} if stored.run.setup else set()
    if result := stored.results.get(cell.id):
        files |= {result.lock.file} if result.lock else set()
        files |= {name for name in (result.sbom, result.log) if name}
        files |= {result.image.log} if result.image and result.image.log else set()
    for name in files:
        source = stored.folder / name
        to = made.path / name
        # The names come from another machine, so they must not lead out of the folders.
        inside = source.resolve().is_relative_to(stored.folder.resolve())
        if not inside or not to.resolve().is_relative_to(made.path.resolve()):
            continue
        if source.is_file() and not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)


def _whole(plan: Plan, chosen: Mapping[str, StoredRun]) -> Run:
    """Return the record of the merged run."""
    parts = [one.run for one in chosen.values()]
    engines = list(dict.fromkeys(part.engine for part in parts if part.engine is not None))
    ends = [part.ended for part in parts if part.ended]
    one_engine = engines[0] if len(engines) == 1 else None
    return plan.run.model_copy(
        update={
            "plan": plan.digest,
            "ended": max(ends, default=None),
            "interrupted": any(part.interrupted for part in parts),
            "engine": one_engine,
            "engines": () if one_engine else tuple(engines),
        }
    )


def _files(folder: Path, name: str) -> Iterator[Path]:
    """Yield the files of a name in and below a folder, in order, without following links.

    Raises:
        UsageError: the folder does not exist.
    """
    if not folder.is_dir():
        msg = f"The folder {folder} does not exist."
        raise UsageError(msg)
    for place, folders, files in os.walk(folder):
        folders.sort()
        path = Path(place) / name
        if name in files and not path.is_symlink():
            yield path
