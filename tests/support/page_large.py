"""Synthetic reports of very large runs."""

import itertools
from datetime import timedelta
from typing import Any, Final

from factories import RUN, a_cell, a_lock, a_run, an_image
from page_demo import ENGINE, FOLDER, START, cell_command, cell_steps

from matrixci.model import CellOutcome, CellResult, CheckOutcome, CheckResult, Reason
from matrixci.reports.report import Report
from matrixci.verdict.judged import JudgedCell, JudgedRun, Verdict


def large_report(cells: int, checks: int) -> Report:
    """Return a run of many cells. One cell in seven fails, in ten different ways."""
    axes = ([f"3.{9 + n}" for n in range(5)], ["1.x", "2.x"], ["cpu", "cuda", "rocm", "xpu"])
    combinations = itertools.cycle(itertools.product(*axes))
    judged = tuple(
        _large_cell(number, next(combinations), number // 40, checks) for number in range(cells)
    )
    run = a_run([one.cell for one in judged], engine=ENGINE, companions=("torch",))
    ids = [one.cell.id for one in judged]
    return Report(
        judged=JudgedRun.model_construct(
            run=run,
            cells=judged,
            verdict=Verdict.NOT_READY,
            reasons=("many checks fail",),
            remarks=(),
        ),
        folder=FOLDER,
        locks={
            cell: f"torch==2.{n % 50} --hash=sha256:{n % 50:064x}\n" * 80
            for n, cell in enumerate(ids)
        },
        logs={cell: f"{cell} said\n" * 400 for cell in ids},
    )


def _large_cell(number: int, values: tuple[str, str, str], build: int, checks: int) -> JudgedCell:
    python, numpy, device = values
    cell = a_cell(
        python,
        numpy,
        device,
        id=f"py{python}-numpy{numpy[0]}-build{build}-{device}",
        axes={"python": python, "numpy": numpy, "build": str(build), "device": device},
    )
    fails = number % 7 == 0
    results = tuple(_large_check(number, place, fails=fails) for place in range(checks))
    outcome = CellOutcome.FAILED if fails else CellOutcome.PASSED
    result: dict[str, Any] = {
        "run": RUN,
        "cell": cell,
        "outcome": outcome,
        "lock": a_lock(
            {"transformers": "5.23.0", "torch": f"2.{number % 50}"}, digest=f"{number % 50:064x}"
        ),
        "image": an_image(),
        "attestation": None,
        "steps": _STEPS,
        "detail": "",
        "log": f"logs/{cell.id}.log",
        "reused_from": None,
    }
    return JudgedCell.model_construct(
        cell=cell,
        outcome=outcome,
        reason=Reason.CHECKS if fails else None,
        message="1 failed" if fails else "",
        checks=results,
        result=CellResult.model_construct(**result),
        reproduce=cell_command(cell),
    )


_STEPS: Final = cell_steps()


def _large_check(number: int, place: int, *, fails: bool) -> CheckResult:
    failed = fails and place == number % 10
    began = START + timedelta(seconds=place)
    name = f"test_large_{place % 6}.py::test_holds[{place}]"
    return CheckResult(
        id=name,
        claim=f"Claim {place} holds in every cell of the matrix.",
        outcome=CheckOutcome.FAILED if failed else CheckOutcome.PASSED,
        reason="",
        need=None,
        reference=None,
        message=f"expected: {place}\nseen: nothing at 0x7fff{number:06x}" if failed else "",
        detail=f"Traceback of {name}\n" * 20 if failed else "",
        metrics={},
        began=began,
        ended=began + timedelta(seconds=0.01 + (number * 7 + place) % 311 / 100),
    )
