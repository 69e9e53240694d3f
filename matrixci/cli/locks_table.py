"""Table of cells and their locks, printed by `matrix --plan` and `plan`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import assert_never

from rich.table import Table
from rich.text import Text

from matrixci.cli.console import console, print_note
from matrixci.execution.new_run import companions
from matrixci.execution.settings import Settings
from matrixci.fanout.planner import Answers
from matrixci.images.interpreter import missing_interpreters
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import BaseOrigin, Cell
from matrixci.util.text import in_line, listed, several


def print_locks(
    settings: Settings,
    cells: Sequence[Cell],
    locks: Answers,
    runners: Mapping[str, str] | None = None,
) -> None:
    """Print each cell with its lock.

    Args:
        settings: of the run.
        cells: the cells to print.
        locks: cell id to lock, or to the reason why there is none.
        runners: cell id to the labels of its runner; None leaves out the column.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cell", "lock", "", *(["runner"] if runners is not None else [])):
        table.add_column(title)
    for cell in cells:
        on = [] if runners is None else [runners.get(cell.id, "")]
        match locks[cell.id]:
            case Lock() as lock:
                table.add_row(cell.id, lock.digest[:12], _versions(settings, lock), *on)
            case Unsatisfiable() as proof:
                table.add_row(cell.id, "∅", Text(in_line(f"unsatisfiable: {proof.reason}")), *on)
            case _ as never:
                assert_never(never)
    out = console()
    out.print(table)
    distinct = {lock.digest for lock in locks.values() if isinstance(lock, Lock)}
    out.print(f"{several(len(cells), 'cell')}, {several(len(distinct), 'distinct lock')}")


def _versions(settings: Settings, lock: Lock) -> str:
    names = [settings.subject.subject.name, *companions(settings.matrix), "numpy"]
    pins = [
        f"{name} {lock.versions[name]}" for name in dict.fromkeys(names) if name in lock.versions
    ]
    return ", ".join(pins) + (" (default index)" if lock.fallback else "")


def print_missing_interpreters(settings: Settings, cells: Sequence[Cell]) -> None:
    """Print which cells need a base image that this machine cannot assemble."""
    origin = settings.options.base_origin
    if origin is BaseOrigin.REGISTRY:
        return
    versions = dict.fromkeys(cell.python for cell in cells if cell.base is None)
    for version in asyncio.run(missing_interpreters(versions)):
        of = [cell.id for cell in cells if cell.python == version and cell.base is None]
        only = origin is BaseOrigin.ASSEMBLED
        so = "cannot be assembled" if only else "must come from a registry"
        print_note(f"{listed(of)}: this machine has no CPython {version}, so the base image {so}")
