"""A run in which every string is an attack on a report format."""

from datetime import date

from factories import a_cell, a_check, a_lock, a_result, a_run, an_image, an_issue

from matrixci.model import CellOutcome, CellResult, CheckOutcome, Run
from matrixci.verdict.judge import JudgeOptions, judge
from matrixci.verdict.judged import JudgedRun

EVIL = (
    "\x1b[31mred\x1b]0;title\x07\x00\x08\x85\u202e\ufffe"
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>"
    "[x](javascript:alert(1))![x](http://evil.example/x.png)<http://evil.example> www.evil.example"
    " @org/team #12 owner/name#12 `a` ``b`` ``` ~~s~~ $x$ | a | b |\r\n"
    "::error title=pwned::pwned\n  ::set-env name=PATH::/evil\n##[set-env name=A]b\n"
    "::stop-commands::x\n]]> <!-- --> &amp; %0A::error::x \\` \\| {{ 7 * 7 }} {% raw %}\n"
    "# heading\n\n---\n1. one\n- two\n    code\n</text></title></testcase></testsuite>"
)
EVIL_ID = f"../../evil.py{EVIL}::test_evil{EVIL}"


def the_run(count: int = 1) -> JudgedRun:
    """Return the judged run, with `count` checks of each outcome."""
    axes = {"python": "3.12", f"axis{EVIL}": EVIL, "device": EVIL}
    cells = [
        a_cell(id=f"{number}{EVIL}", axes=axes | {"numpy": f"{number}"}, torch_backend=EVIL)
        for number in range(8)
    ]
    outcomes = [*CheckOutcome] * count
    checks = tuple(
        a_check(
            f"{EVIL_ID}{number}",
            outcome,
            claim=EVIL,
            reason=EVIL,
            message=EVIL,
            detail=EVIL,
            reference=EVIL,
            metrics={EVIL: float(number)},
            severity="warning" if number % 2 else "error",
            need="gpu" if outcome is CheckOutcome.SKIPPED else None,
        )
        for number, outcome in enumerate(outcomes)
    )
    versions = {"transformers": EVIL, "torch": EVIL, EVIL: EVIL}
    results: dict[str, CellResult] = {}
    for cell, outcome in zip(cells, CellOutcome, strict=False):
        ran = outcome in {CellOutcome.PASSED, CellOutcome.PARTIAL, CellOutcome.FAILED}
        results[cell.id] = a_result(
            cell,
            outcome,
            checks if ran else (),
            message=EVIL,
            detail=EVIL,
            lock=a_lock(versions, torch_backend=EVIL, file="../../etc/passwd") if ran else None,
            image=an_image(base=EVIL, tag=EVIL),
            log="../../etc/passwd",
        )
    attacked = a_run(
        cells,
        subject={"name": "transformers", "spec": EVIL, "requirement": EVIL},
        command=("matrix", EVIL),
        commit=EVIL,
        matrixci=EVIL,
        resolver=EVIL,
        matrix_digest=EVIL,
        check_filter=EVIL,
        tier=EVIL,
        unselected=(EVIL,),
        known_issues=(an_issue("*evil*", reference=EVIL, reason=EVIL, where={"numpy": "1"}),),
        gates={"require": ({"device": (EVIL,)}, {}), "bounds": (f"axis{EVIL}",)},
        older={cell.id: {"torch": EVIL} for cell in cells},
        engine={
            **dict.fromkeys(("version", "buildx", "architecture", "storage", "gpu"), EVIL),
            "cpus": 1,
            "memory": 1,
        },
    )
    return _judged(attacked, results)


def _judged(run: Run, results: dict[str, CellResult]) -> JudgedRun:
    before = {cell: _milder(result) for cell, result in results.items()}
    baseline = judge(run, before, (), date(2026, 11, 21))
    problems = [f"{EVIL}.json: {EVIL}"]
    options = JudgeOptions(baseline=baseline, for_release=True, subject_version=EVIL)
    return judge(run, results, problems, date(2026, 11, 21), options)


def _milder(result: CellResult) -> CellResult:
    """Return a milder result, so that everything in the other one is a change."""
    checks = tuple(a_check(f"{check.id}", metrics={EVIL: 1e9}) for check in result.checks[1:])
    lock = result.lock.model_copy(update={"versions": {EVIL: "1"}}) if result.lock else None
    return result.model_copy(update={"checks": checks, "lock": lock})
