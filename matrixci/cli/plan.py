"""The command `plan`: resolve a run whose cells run on other machines."""

import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from matrixci.cli.console import console, print_note
from matrixci.cli.locks_table import print_locks
from matrixci.cli.option_groups import with_option_groups
from matrixci.cli.options import PLAN, BaseOption, PlanOption, RequireLimitsOption, RunOptions
from matrixci.cli.run_settings import read_settings
from matrixci.execution.settings import ExecutionOptions
from matrixci.fanout.plan import Plan, write_own_wheels, write_plan, write_wheel
from matrixci.fanout.planner import PlanRequest, make_plan
from matrixci.github.job_outputs import MOST_JOBS, append, outputs
from matrixci.github.runners import runner_of
from matrixci.reports.annotations import annotation
from matrixci.util.invocation import called
from matrixci.util.text import in_line, several

GPU_RUNNER: Final = "MATRIXCI_GPU_RUNNER"
"""Environment variable with the comma-separated labels of a runner that has a GPU."""
_PLAN_ONLY: Final = ("--output", "--shard-size")


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Options of `plan` alone."""

    base: BaseOption = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore earlier locks.")] = False
    require_limits: RequireLimitsOption = False
    output: PlanOption = None
    shard_size: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_JOBS, help="Maximum number of cells in one matrix of a workflow."
        ),
    ] = MOST_JOBS


@with_option_groups
def plan(context: typer.Context, *, run: RunOptions, options: PlanOptions) -> None:
    """Resolve every cell and write a plan, so that other machines can run the cells."""
    execution = ExecutionOptions(
        fresh=options.fresh, base_origin=options.base, require_limits=options.require_limits
    )
    settings, chosen = read_settings(context, run, execution)
    gpu_runner = os.environ.get(GPU_RUNNER)
    request = PlanRequest(
        settings=settings,
        chosen=chosen,
        command=_matrix_command(sys.argv[2:]),
        architecture=platform.machine(),
        runner_of=lambda cell: runner_of(settings.matrix, cell, gpu_runner),
    )
    planned = asyncio.run(make_plan(request, _print_retry))
    file = options.output or run.work_dir / PLAN
    write_plan(planned, file)
    write_wheel(settings.subject.wheel, file)
    write_own_wheels(settings.own_wheels, file)
    locks = {cell.id: planned.answer(cell.id) for cell in chosen.cells}
    runners = {name: ", ".join(cell.runner) for name, cell in planned.cells.items()}
    print_locks(settings, chosen.cells, locks, runners)
    if not gpu_runner:
        _print_cells_without_gpu(planned)
    if path := os.environ.get("GITHUB_OUTPUT"):
        append(outputs(planned, options.shard_size), Path(path))
    run_one = called("cell", "ID", "--plan", str(file))
    text = f"wrote the plan of run {planned.run.id} to {file}; run a cell with: {run_one}"
    console().print(Text(text), soft_wrap=True)


def _matrix_command(words: Sequence[str]) -> list[str]:
    """Return the command that runs the same cells on one machine."""
    kept = ["matrix"]
    rest = iter(words)
    for word in rest:
        if word in _PLAN_ONLY:
            next(rest, None)
        elif word.partition("=")[0] not in _PLAN_ONLY:
            kept.append(word)
    return kept


def _print_retry(number: int, seconds: float, error: BaseException) -> None:
    first = in_line(str(error).partition("\n")[0])
    print_note(f"{first} (attempt {number}; retrying in {seconds:.0f} s)")


def _print_cells_without_gpu(planned: Plan) -> None:
    """Print how many cells need a GPU that their runners may not have."""
    without = [cell.id for cell in planned.run.cells if cell.gpu and cell.id in planned.cells]
    if not without:
        return
    text = (
        f"{several(len(without), 'cell')} with a GPU will run on ordinary runners, "
        f"because the variable {GPU_RUNNER} is not set."
    )
    if os.environ.get("GITHUB_ACTIONS") == "true":
        sys.stdout.write(annotation("notice", "no GPU runner", text))
    print_note(text)
