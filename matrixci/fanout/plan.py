"""The plan of a run: a JSON file with the locks of its cells, for the machines that run them.

Besides the plan, a machine needs only the checks and the wheels that we built. Cells are resolved
once, so that every machine installs the same packages.
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
from matrixci.locks.own_wheels import StoredWheel, wheel_path, with_wheels_of
from matrixci.matrix.definition import Matrix
from matrixci.model import SCHEMA_VERSION, Cell, Frozen, Run
from matrixci.runs.documents import read_json_document
from matrixci.util.files import write_whole
from matrixci.util.invocation import called
from matrixci.util.text import suggestion


class PlannedLock(Frozen):
    """A lock, as text."""

    text: str = Field(description="requirement lines with hashes and the reason for each")
    torch_backend: str | None = Field(
        description="torch backend that was used; None: default index"
    )

    @classmethod
    def of(cls, lock: Lock) -> Self:
        """Return a lock as text."""
        return cls(text=lock.annotated, torch_backend=lock.torch_backend)

    def parsed(self, *, fallback: bool = False) -> Lock:
        """Return the parsed lock.

        Args:
            fallback: the requested torch backend could not be reached.

        Raises:
            ResolverError: a line is invalid.
        """
        return Lock(pins=parse_lock(self.text), torch_backend=self.torch_backend, fallback=fallback)


class PlannedCell(Frozen):
    """A cell with a lock."""

    lock: str = Field(description="digest of its lock")
    fallback: bool = Field(description="the requested torch backend could not be reached")
    runner: tuple[str, ...] = Field(description="labels of the machine to run it")


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
    cells: dict[str, PlannedCell] = Field(description="cell id to its lock and runner")
    unsatisfiable: dict[str, Refusal] = Field(description="ids of all other cells to the reason")
    tools: dict[str, PlannedLock] = Field(description="Python X.Y to the lock of the build tools")

    @field_serializer("matrix")
    def _as_its_file(self, matrix: Matrix) -> dict[str, object]:
        return matrix.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        planned = {cell.id for cell in self.run.cells}
        answered = [*self.cells, *self.unsatisfiable]
        if set(answered) != planned or len(answered) != len(planned):
            msg = "its cells and its locks do not match"
            raise ValueError(msg)
        if not {cell.lock for cell in self.cells.values()} <= self.locks.keys():
            msg = "the lock of a cell is missing"
            raise ValueError(msg)
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its content in hex, independent of the layout of its file."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def cell(self, cell_id: str) -> Cell:
        """Return a cell.

        Raises:
            UsageError: the plan has no such cell.
        """
        for cell in self.run.cells:
            if cell.id == cell_id:
                return cell
        ids = [cell.id for cell in self.run.cells]
        msg = f"The plan has no cell {cell_id!r}. {suggestion(cell_id, ids)}"
        raise UsageError(msg)

    def answer(self, cell_id: str) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or the reason why there is none.

        Raises:
            UsageError: the lock does not match its digest.
        """
        if refusal := self.unsatisfiable.get(cell_id):
            return Unsatisfiable(reason=refusal.reason, detail=refusal.detail)
        planned = self.cells[cell_id]
        try:
            lock = self.locks[planned.lock].parsed(fallback=planned.fallback)
        except ResolverError as error:
            raise UsageError(str(error)) from error
        if lock.digest != planned.lock:
            msg = f"The plan's lock of cell {cell_id} does not match its digest."
            raise UsageError(msg)
        return with_wheels_of(lock, self.run)


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        UsageError: the file does not exist, or cannot be read.
    """
    try:
        return read_json_document(path, Plan)
    except FileNotFoundError as error:
        make = called("plan", "--output", str(path))
        msg = f"The plan {path} does not exist. Make one: {make}"
        raise UsageError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"The plan {path} cannot be read: {error}"
        raise UsageError(msg) from error


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan.

    Raises:
        RunFilesError: the file cannot be written.
    """
    write_whole(path, plan.model_dump_json(indent=1))


def write_wheel(wheel: Path | None, plan: Path) -> None:
    """Copy the subject's wheel into the folder of the plan, where a cell looks for it.

    Raises:
        RunFilesError: the file cannot be written.
    """
    if wheel is None:
        return
    try:
        if wheel.resolve().parent != plan.resolve().parent:
            shutil.copyfile(wheel, plan.parent / wheel.name)
    except OSError as error:
        msg = f"The subject's wheel cannot be copied into the folder of {plan}: {error}"
        raise RunFilesError(msg) from error


def write_own_wheels(wheels: Iterable[StoredWheel], plan: Path) -> None:
    """Copy wheels of requirements with a URL into the folder of the plan, where a cell looks.

    Raises:
        RunFilesError: a wheel cannot be written.
    """
    try:
        for each in wheels:
            place = plan.parent / wheel_path(each.wheel)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each.path, place)
    except OSError as error:
        msg = f"The wheels of requirements cannot be copied into the folder of {plan}: {error}"
        raise RunFilesError(msg) from error
