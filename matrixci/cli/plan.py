"""The command that plans a run for many machines, and the table of what is planned."""

import asyncio
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, assert_never

import typer
from rich.table import Table
from rich.text import Text

from matrixci.cli.console import console
from matrixci.cli.options import (
    PLAN,
    WORK_DIR,
    AsOfOption,
    BaseOption,
    CellsOption,
    CheckOption,
    ChecksOption,
    MatrixOption,
    PlanOption,
    RequireLimitsOption,
    SubjectOption,
    TierOption,
    WorkDirOption,
)
from matrixci.cli.run_options import Asked, asked
from matrixci.execution.new_run import companions
from matrixci.execution.pipeline import Settings
from matrixci.fanout.plan import Plan, write_own_wheels, write_plan, write_wheel
from matrixci.fanout.planner import Answers, make_plan
from matrixci.github.job_outputs import MOST_JOBS, append, outputs
from matrixci.github.runners import runner_of
from matrixci.images.interpreter import missing_interpreters
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import BaseOrigin, Cell
from matrixci.reports.annotations import annotation
from matrixci.util.invocation import called
from matrixci.util.text import in_line, listed, several

GPU_RUNNER: Final = "MATRIXCI_GPU_RUNNER"
"""The environment variable that names the runner with a GPU, by its labels with commas between."""
_NOT_OF_A_RUN: Final = ("--output", "--shard-size")


def plan_run(  # noqa: PLR0913
    context: typer.Context,
    *,
    file: MatrixOption = Path("matrix.yaml"),
    work_dir: WorkDirOption = WORK_DIR,
    subject: SubjectOption = None,
    cell: CellsOption = None,
    tier: TierOption = None,
    check: CheckOption = None,
    checks: ChecksOption = None,
    as_of: AsOfOption = None,
    base: BaseOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Resolve everything anew.")] = False,
    require_limits: RequireLimitsOption = False,
    output: PlanOption = None,
    shard_size: Annotated[
        int, typer.Option(min=1, max=MOST_JOBS, help="Cells in one matrix of a workflow, at most.")
    ] = MOST_JOBS,
) -> None:
    """Resolve every cell once, and write what other machines need to run them one by one."""
    what = Asked(
        file=file,
        work_dir=work_dir,
        subject=subject,
        cells=cell,
        tier=tier,
        check=check,
        checks=checks,
        as_of=as_of,
        base=base,
        fresh=fresh,
        require_limits=require_limits,
    )
    settings, chosen = asked(context, what)
    gpu_runner = os.environ.get(GPU_RUNNER)
    planned = asyncio.run(
        make_plan(
            settings,
            chosen,
            _command(sys.argv[2:]),
            platform.machine(),
            runner_of=lambda cell: runner_of(settings.matrix, cell, gpu_runner),
            tell=_tell,
        )
    )
    place = output or work_dir / PLAN
    write_plan(planned, place)
    write_wheel(settings.subject.wheel, place)
    write_own_wheels(settings.own_wheels, place)
    locks = {cell.id: planned.answer(cell.id) for cell in chosen.cells}
    runners = {name: ", ".join(cell.runner) for name, cell in planned.cells.items()}
    show_locks(settings, chosen.cells, locks, runners)
    if not gpu_runner:
        _tell_of_gpus(planned)
    if path := os.environ.get("GITHUB_OUTPUT"):
        append(outputs(planned, shard_size), Path(path))
    run_one = called("cell", "ID", "--plan", str(place))
    told = f"the run {planned.run.id} is planned in {place}; run a cell of it: {run_one}"
    console().print(Text(told), soft_wrap=True)


def _command(words: Sequence[str]) -> list[str]:
    """Return the command that makes such a run on one machine."""
    kept = ["matrix"]
    rest = iter(words)
    for word in rest:
        if word in _NOT_OF_A_RUN:
            next(rest, None)
        elif word.partition("=")[0] not in _NOT_OF_A_RUN:
            kept.append(word)
    return kept


def _tell(number: int, seconds: float, error: BaseException) -> None:
    first = in_line(str(error).partition("\n")[0])
    _say(f"{first} (attempt {number}; again in {seconds:.0f} s)")


def _tell_of_gpus(planned: Plan) -> None:
    """Say where a cell will lack the GPU that it asks for."""
    without = [cell.id for cell in planned.run.cells if cell.gpu and cell.id in planned.cells]
    if not without:
        return
    text = (
        f"{several(len(without), 'cell')} that ask for a GPU run on ordinary runners, unless these "
        f"have one: the variable {GPU_RUNNER} names no runner with a GPU."
    )
    if os.environ.get("GITHUB_ACTIONS") == "true":
        sys.stdout.write(annotation("notice", "no GPU runner", text))
    _say(text)


def _say(text: str) -> None:
    console(stderr=True).print(Text(text), soft_wrap=True)


def show_locks(
    settings: Settings,
    cells: Sequence[Cell],
    locks: Answers,
    runners: Mapping[str, str] | None = None,
) -> None:
    """Print the cells with their locks, and with the runners that they are planned for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("cell", "lock", "", *(["runner"] if runners is not None else [])):
        table.add_column(title)
    for cell in cells:
        on = [] if runners is None else [runners.get(cell.id, "")]
        match locks[cell.id]:
            case Lock() as lock:
                names = [
                    settings.subject.subject.name,
                    *companions(settings.matrix),
                    "numpy",
                ]
                pins = [
                    f"{name} {lock.versions[name]}"
                    for name in dict.fromkeys(names)
                    if name in lock.versions
                ]
                fallback = " (default index)" if lock.fallback else ""
                table.add_row(cell.id, lock.digest[:12], ", ".join(pins) + fallback, *on)
            case Unsatisfiable() as proof:
                table.add_row(cell.id, "∅", Text(in_line(f"unsatisfiable: {proof.reason}")), *on)
            case _ as never:
                assert_never(never)
    out = console()
    out.print(table)
    distinct = {lock.digest for lock in locks.values() if isinstance(lock, Lock)}
    out.print(f"{several(len(cells), 'cell')}, {several(len(distinct), 'distinct lock')}")


def show_missing_interpreters(settings: Settings, cells: Sequence[Cell]) -> None:
    """Say which cells need a base image that this machine can't assemble."""
    if settings.base_origin is BaseOrigin.REGISTRY:
        return
    versions = dict.fromkeys(cell.python for cell in cells if cell.base is None)
    for version in asyncio.run(missing_interpreters(versions)):
        of = [cell.id for cell in cells if cell.python == version and cell.base is None]
        only = settings.base_origin is BaseOrigin.ASSEMBLED
        so = "cannot be assembled" if only else "must come from a registry"
        text = f"{listed(of)}: this machine has no CPython {version}, so the base image {so}"
        console(stderr=True).print(Text(text), soft_wrap=True)
