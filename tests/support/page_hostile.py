"""A report in which every string that a run can influence is an attack on the page."""

import itertools
from typing import Final

from factories import RUN, a_cell, a_lock, a_run, an_image
from page_demo import ENGINE, START

from matrixci.history.streaks import Red
from matrixci.history.trend import Trend
from matrixci.model import Attestation, CellOutcome, CellResult, CheckOutcome, CheckResult, Reason
from matrixci.reports.report import Report
from matrixci.verdict.judged import (
    Blocker,
    CellChange,
    Change,
    CheckChange,
    Comparison,
    Gate,
    GateOutcome,
    JudgedCell,
    JudgedRun,
    KnownFailure,
    PackageChange,
    Verdict,
)

ATTACKS: Final = (
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=2</script>",
    "<!--<script>window.pwned=3",
    "'\"><svg onload=window.pwned=4>",
    "javascript:window.pwned=5",
    "{{ 7*7 }}{% raw %}${window.pwned=6}`",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred\x00\r\x08",
    "\u202eevil\u2066 \u2028\u2029 \ufeff\u200b",
    "\ud800 lone",
    "a&b &lt;i&gt; \\u003cscript\\u003e",
    "toString __proto__ constructor",
)


def hostile_report() -> Report:
    """Return a report in which every string that a run can influence is an attack."""
    evil = " ".join(ATTACKS)
    cells = [_hostile_cell(n, attack) for n, attack in enumerate([*ATTACKS, evil])]
    comparison = Comparison(
        before=evil,
        before_began=START,
        before_day="as of 2026-08-21",
        before_subject=evil,
        before_commit=evil,
        before_verdict=Verdict.READY,
        cells=tuple(
            CellChange(
                cell=one.cell.id,
                change=Change.REGRESSED,
                before=CellOutcome.PASSED,
                after=CellOutcome.FAILED,
                checks=(
                    CheckChange(
                        check=evil,
                        change=Change.DISAPPEARED,
                        before=CheckOutcome.PASSED,
                        after=None,
                    ),
                ),
                packages=(PackageChange(name=evil, before=evil, after=None),),
                python=(evil, evil),
                metrics={evil: (1.0, float("nan"))},
            )
            for one in cells
        ),
    )
    subject = {"name": evil, "spec": evil, "requirement": evil}
    judged = JudgedRun(
        run=a_run(
            [one.cell for one in cells],
            subject=subject,
            companions=(evil, *ATTACKS),
            engine=ENGINE.model_copy(update={"version": evil, "storage": evil}),
            resolver=evil,
            commit=evil,
            matrixci=evil,
            command=("matrixci", *ATTACKS),
            id=evil,
        ),
        cells=tuple(cells),
        verdict=Verdict.NOT_READY,
        reasons=ATTACKS,
        blockers=tuple(
            Blocker(
                text=attack,
                check=attack,
                claim=attack,
                outcome=CheckOutcome.FAILED,
                message=attack,
                note=attack,
                cells=(attack,),
            )
            for attack in ATTACKS
        ),
        remarks=ATTACKS,
        gates=tuple(
            Gate(
                name=attack,
                asks=attack,
                outcome=GateOutcome.UNMET,
                required=True,
                evidence=(attack,),
            )
            for attack in ATTACKS
        ),
        unverified=ATTACKS,
        known=tuple(
            KnownFailure(
                check=attack,
                reference=attack,
                reason=attack,
                expires=attack,
                days_left=0,
                checks=(attack,),
                cells=(attack,),
            )
            for attack in ATTACKS
        ),
        comparison=comparison,
    )
    ids = [one.cell.id for one in cells]
    return Report(
        judged=judged,
        folder=evil,
        locks={cell: f"{evil}\n{cell}" for cell in ids},
        logs={cell: f"{evil}\n{cell}" for cell in ids},
        reds={attack: Red(since=attack, last_green=attack) for attack in ATTACKS},
        trends={
            **{cell: Trend(outcomes=ATTACKS, metrics={evil: (1.0, 2.0)}) for cell in ids},
            **{f"{cell}\t{evil}": Trend(outcomes=ATTACKS, metrics={}) for cell in ids},
        },
    )


def _hostile_cell(number: int, attack: str) -> JudgedCell:
    cell = a_cell(
        id=f"{attack} {number}",
        axes={"python": "3.12", attack: attack, "device": attack},
        environment={attack: attack},
        requires=(attack,),
    )
    checks = tuple(
        CheckResult(
            id=each,
            claim=each,
            outcome=outcome,
            reason=each,
            reference=each,
            message=each,
            detail=each,
            metrics={each: float("inf")},
        )
        for each, outcome in zip(
            [*ATTACKS, " ".join(ATTACKS)], itertools.cycle(CheckOutcome), strict=False
        )
    )
    return JudgedCell(
        cell=cell,
        outcome=CellOutcome.FAILED,
        reason=Reason.CHECKS,
        message=attack,
        checks=checks,
        result=CellResult(
            run=RUN,
            cell=cell,
            outcome=CellOutcome.FAILED,
            detail=attack,
            lock=a_lock(dict.fromkeys([attack, *ATTACKS], attack), file=attack, digest=attack),
            image=an_image(tag=attack, base=attack, log=attack),
            attestation=Attestation(
                python=attack,
                machine=attack,
                distributions={attack: attack},
                modules={attack: attack},
                torch_cuda=attack,
                gpus=1,
            ),
            log=attack,
            reused_from=attack,
        ),
        reproduce=("run", attack, cell.id),
    )
