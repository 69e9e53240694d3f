"""A matrix, its cells and stored runs, for tests of the commands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factories import RUN, a_check, a_result, a_run, an_engine, cells

from matrixci.engine.client import Engine
from matrixci.locks.lock import Lock, Unsatisfiable, parse_lock
from matrixci.model import Cell, CellOutcome, CheckOutcome, Reason
from matrixci.runs.folder import RunFolder

MATRIX = """\
subject: toy
requires: [torch]
axes:
  python: {"3.12": , "3.13": }
  numpy:
    1.x: {id: numpy1, requires: numpy<2}
    2.x: {id: numpy2, requires: numpy>=2}
  device: {cpu: {id: cpu, torch-backend: cpu}, cuda: {id: cuda, gpu: true}}
tiers:
  newest: [{python: "3.13"}]
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: list[str]
    err: list[str]


Command = Callable[..., Done]


def answer(cell: Cell) -> Lock | Unsatisfiable:
    if cell.id.startswith("py3.13-numpy1"):
        return Unsatisfiable(reason="no wheel of numpy[x]<2 for [/] \x1b[31m", detail="")
    numpy = "1.26.4" if "numpy1" in cell.id else "2.5.5"
    text = f"attrs==26.1.0\nnumpy=={numpy}\ntorch==2.15.0\ntoy==1.0\n"
    return Lock(pins=parse_lock(text), torch_backend=None, fallback=not cell.gpu)


EVERY = [
    f"py{python}-{numpy}-{device}"
    for python in ("3.12", "3.13")
    for numpy in ("numpy1", "numpy2")
    for device in ("cpu", "cuda")
]


class Roomy(Engine):
    """An engine of which nothing but its room is asked."""

    def __init__(self) -> None:
        """Have no limit that it would drop."""
        self.host = "unix:///nowhere"
        self.facts = an_engine()

    async def free_disk(self) -> int | None:
        return 2**40


def stored(work_dir: Path, *results: CellOutcome, interrupted: bool = False) -> Path:
    """Write a run of cells with these outcomes."""
    of = cells(("3.10", "3.11", "3.12", "3.13"))[: len(results)]
    folder = RunFolder.create(work_dir, RUN)
    folder.write_run(a_run(of, interrupted=interrupted))
    for cell, outcome in zip(of, results, strict=True):
        failed = outcome is CellOutcome.FAILED
        checks = [a_check(outcome=CheckOutcome.FAILED)] if failed else None
        reason = Reason.CHECKS if failed else None
        folder.write_cell(a_result(cell, outcome, checks, reason=reason))
    folder.point_latest()
    return folder.path
