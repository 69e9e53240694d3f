"""Cells that ran on many machines, put together into the one run that was planned."""

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
    """A run that was put together."""

    folder: Path
    remarks: tuple[str, ...]
    """What was left out, and why; one line each."""


def find_plan(folders: Sequence[Path], default: Path) -> Plan:
    """Return the plan that lies somewhere below some folders, or else the one made here.

    Args:
        folders: those with the results.
        default: where `plan` writes one.

    Raises:
        UsageError: there is none, or there are different ones.
    """
    paths = [path for folder in folders for path in _files(folder, PLAN)]
    if not paths and default.is_file():
        return read_plan(default)
    plans = {plan.digest: plan for plan in map(read_plan, paths)}
    if len(plans) == 1:
        return next(iter(plans.values()))
    where = listed(str(folder) for folder in folders)
    if not plans:
        msg = f"There is no {PLAN} below {where}; name the plan: --plan {PLAN}"
    else:
        found = listed(str(path) for path in paths)
        msg = f"There are {len(plans)} plans below {where}: {found}; name one: --plan {PLAN}"
    raise UsageError(msg)


def merge(plan: Plan, folders: Sequence[Path], work_dir: Path) -> Merged:
    """Put the results below some folders together into one run, in its folder below `work_dir`.

    Where that folder is there already it is made anew. What can't be read is told, and its cell
    is missing.

    Args:
        plan: the plan of which all results are.
        folders: each the result of a cell, or something with such below it.
        work_dir: where runs lie.

    Raises:
        UsageError: a result is of another plan, or a cell came back twice with different results.
        RunFilesError: a folder can't be read, or the run can't be written.
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
        msg = f"The cells can't be put together in {target}: {error}"
        raise RunFilesError(msg) from error
    RunFolder(target).point_latest()
    return Merged(folder=target, remarks=tuple(remarks))


def _read_all(
    plan: Plan, folders: Iterable[Path], target: Path
) -> tuple[list[StoredRun], list[str]]:
    """Return the runs below some folders, and what of them can't be read."""
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
                foreign.append(f"{path.parent}: of the run {run.id}")
                continue
            stored = read_run(path.parent)
            foreign += _otherwise_locked(plan, stored)
            found.append(stored)
        except (OSError, ValueError, RunFilesError) as error:
            remarks.append(f"{path} can't be read: {error}")
    if foreign:
        foreign.sort()
        told = "\n  ".join(foreign)
        msg = f"These are not of the plan, which is of the run {plan.run.id}:\n  {told}"
        raise UsageError(msg)
    return found, remarks


def _otherwise_locked(plan: Plan, stored: StoredRun) -> Iterator[str]:
    """Yield what was tested with something else than what was planned."""
    for name, result in stored.results.items():
        planned = plan.cells.get(name)
        if result.lock is not None and (planned is None or result.lock.digest != planned.lock):
            yield f"{stored.folder}: the cell {name} has another lock"


def _choose(cell: Cell, found: Sequence[StoredRun]) -> StoredRun | None:
    """Return where the result of a cell is taken from, None where there is none.

    Raises:
        UsageError: there are two that differ, both final.
    """
    here = [one for one in found if _has(one, cell)]
    final = [
        one for one in here if cell.id in one.results and one.results[cell.id].outcome in CONCLUSIVE
    ]
    if any(one.results[cell.id] != final[0].results[cell.id] for one in final):
        told = listed(f"{one.folder} ({one.results[cell.id].outcome})" for one in final)
        msg = (
            f"The cell {cell.id} came back {several(len(final), 'time')}, with different results: "
            f"{told}.\nName the one that counts, and leave out the other."
        )
        raise UsageError(msg)
    readable = [one for one in here if cell.id in one.results]
    return next(iter([*final, *readable, *here]), None)


def _has(stored: StoredRun, cell: Cell) -> bool:
    return (stored.folder / "cells" / f"{cell.id}.json").is_file()


def _copy(stored: StoredRun, cell: Cell, made: RunFolder) -> None:
    """Copy what came back of a cell as it is: what is wrong with it is found where it is read."""
    files = {f"cells/{cell.id}.json"}
    files |= {checks_file(stored.run.setup.checks_digest)} if stored.run.setup else set()
    if result := stored.results.get(cell.id):
        files |= {result.lock.file} if result.lock else set()
        files |= {name for name in (result.sbom, result.log) if name}
        files |= {result.image.log} if result.image and result.image.log else set()
    for name in files:
        source = stored.folder / name
        to = made.path / name
        # A name comes from the result, which another machine wrote.
        inside = source.resolve().is_relative_to(stored.folder.resolve())
        if not inside or not to.resolve().is_relative_to(made.path.resolve()):
            continue
        if source.is_file() and not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)


def _whole(plan: Plan, chosen: Mapping[str, StoredRun]) -> Run:
    """Return the run that was planned, as its cells came back."""
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
    """Yield the files of a name in and below a folder, in order; links are not followed.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        msg = f"There is no folder {folder}."
        raise UsageError(msg)
    for place, folders, files in os.walk(folder):
        folders.sort()
        path = Path(place) / name
        if name in files and not path.is_symlink():
            yield path
