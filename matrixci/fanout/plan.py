"""A plan: the JSON contract between the machine that plans a run and those that run its cells.

It is all that a cell needs beside the checks and the wheels of our own: what is installed was
resolved once, so that every machine installs the same.
"""

import hashlib
import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, field_serializer, model_validator

from matrixci.errors import ResolverError, RunFilesError, UsageError
from matrixci.locks.lock import Lock, Unsatisfiable, parse_lock
from matrixci.locks.own_wheels import KeptWheel, place_of, with_wheels_of
from matrixci.matrix.definition import Matrix
from matrixci.model import SCHEMA_VERSION, Cell, Frozen, Run
from matrixci.runs.documents import read_json_document
from matrixci.util.files import write_whole
from matrixci.util.invocation import called
from matrixci.util.text import did_you_mean


class PlannedLock(Frozen):
    """A lock, as text."""

    text: str = Field(description="requirement lines with hashes, and who asks for each")
    torch_backend: str | None = Field(description="the backend that serves, None: default index")

    @classmethod
    def of(cls, lock: Lock) -> Self:
        """Return a lock as text."""
        return cls(text=lock.annotated, torch_backend=lock.torch_backend)

    def parsed(self, *, fallback: bool = False) -> Lock:
        """Return it as a lock.

        Args:
            fallback: it serves in the place of one whose index could not be reached.

        Raises:
            ResolverError: a line is not understood.
        """
        return Lock(pins=parse_lock(self.text), torch_backend=self.torch_backend, fallback=fallback)


class PlannedCell(Frozen):
    """A cell that can be installed."""

    lock: str = Field(description="digest of its lock")
    fallback: bool = Field(description="the torch backend asked for could not be reached")
    runner: tuple[str, ...] = Field(description="labels of the machine that is to run it")


class Refusal(Frozen):
    """The resolver's proof that a cell's requirements have no solution."""

    reason: str
    detail: str


class Plan(Frozen):
    """A run that has not begun, with the locks of its cells."""

    schema_version: int = Field(default=SCHEMA_VERSION, strict=True)
    run: Run
    matrix: Matrix
    architecture: str = Field(description="of the containers, as the kernel names it")
    locks: dict[str, PlannedLock] = Field(description="digest to lock; cells share them")
    cells: dict[str, PlannedCell] = Field(description="cell id to where it runs, with what")
    unsatisfiable: dict[str, Refusal] = Field(description="id of every other cell to the reason")
    tools: dict[str, PlannedLock] = Field(
        description="Python X.Y to the lock of what installs the others inside a build"
    )

    @field_serializer("matrix")
    def _as_its_file(self, matrix: Matrix) -> dict[str, object]:
        return matrix.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        planned = {cell.id for cell in self.run.cells}
        answered = [*self.cells, *self.unsatisfiable]
        if set(answered) != planned or len(answered) != len(planned):
            msg = "its cells and its locks are not of the same run"
            raise ValueError(msg)
        if not {cell.lock for cell in self.cells.values()} <= self.locks.keys():
            msg = "it lacks the lock of a cell"
            raise ValueError(msg)
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that it says, in hex, however its file is laid out."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def cell(self, cell_id: str) -> Cell:
        """Return a cell.

        Raises:
            UsageError: there is none of this id.
        """
        for cell in self.run.cells:
            if cell.id == cell_id:
                return cell
        question = did_you_mean(cell_id, [cell.id for cell in self.run.cells])
        msg = f"The plan has no cell {cell_id!r}; {question}"
        raise UsageError(msg)

    def answer(self, cell_id: str) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or why there is none.

        Raises:
            UsageError: the lock isn't the one of its digest.
        """
        if refusal := self.unsatisfiable.get(cell_id):
            return Unsatisfiable(reason=refusal.reason, detail=refusal.detail)
        planned = self.cells[cell_id]
        try:
            lock = self.locks[planned.lock].parsed(fallback=planned.fallback)
        except ResolverError as error:
            raise UsageError(str(error)) from error
        if lock.digest != planned.lock:
            msg = f"The plan's lock of the cell {cell_id} is not the one of its digest."
            raise UsageError(msg)
        return with_wheels_of(lock, self.run)


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        UsageError: there is none, or it can't be read.
    """
    try:
        return read_json_document(path, Plan)
    except FileNotFoundError as error:
        make = called("plan", "--output", str(path))
        msg = f"There is no plan {path}; make one: {make}"
        raise UsageError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"The plan {path} can't be read: {error}"
        raise UsageError(msg) from error


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan.

    Raises:
        RunFilesError: it can't be written.
    """
    write_whole(path, plan.model_dump_json(indent=1))


def write_wheel(wheel: Path | None, plan: Path) -> None:
    """Lay the subject's own wheel beside a plan's file, where a cell looks for it.

    Raises:
        RunFilesError: it can't be written.
    """
    if wheel is None:
        return
    try:
        if wheel.resolve().parent != plan.resolve().parent:
            shutil.copyfile(wheel, plan.parent / wheel.name)
    except OSError as error:
        msg = f"The subject's wheel can't be laid beside {plan}: {error}"
        raise RunFilesError(msg) from error


def write_own_wheels(wheels: Iterable[KeptWheel], plan: Path) -> None:
    """Copy the wheels of requirements with a URL beside a plan's file, where a cell looks for them.

    Raises:
        RunFilesError: one can't be written.
    """
    try:
        for each in wheels:
            place = plan.parent / place_of(each.wheel)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each.path, place)
    except OSError as error:
        msg = f"The wheels of requirements cannot be copied beside {plan}: {error}"
        raise RunFilesError(msg) from error
