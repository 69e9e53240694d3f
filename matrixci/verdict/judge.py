"""From results to a verdict: pure functions over a run and its cells, no input or output.

Known issues are held against the checks, missing cells are named, the run is compared with its
baseline, the gates are looked at, and the verdict follows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from matrixci.errors import ExitCode
from matrixci.model import Cell, CellOutcome, CellResult, CheckOutcome, KnownIssue, Reason, Run
from matrixci.outcomes import (
    FROM_CHECKS,
    GREEN,
    INFRASTRUCTURE,
    PASSING,
    RED,
    Problem,
    cell_outcome,
)
from matrixci.util.text import listed
from matrixci.verdict.comparison import compare
from matrixci.verdict.explanation import Standing, blockers_of, remarks_of, unverified_of
from matrixci.verdict.gates import excused, gates_of, is_required, new_failures
from matrixci.verdict.judged import Blocker, JudgedCell, JudgedRun, Verdict
from matrixci.verdict.known_issues import KnownIssues, expected_failures
from matrixci.verdict.reproduce_command import reproduction

_NOTHING: Final = "no check passed, so nothing is verified"
# Reasons that follow from the checks' outcomes, so known issues may change them.
_REASONS_FROM_CHECKS: Final = frozenset({Reason.CHECKS, Reason.MISSING_HARDWARE})


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """How a run is judged."""

    baseline: JudgedRun | None = None
    """An earlier run to compare with, already judged."""
    for_release: bool = False
    """Whether a required gate that was not verified blocks the release. If not, it is only listed
    as not verified, which suits a run of a few cells."""
    subject_version: str | None = None
    """The version of the subject that most cells must have. None: any."""


_DEFAULTS: Final = JudgeOptions()


def judge(
    run: Run,
    results: Mapping[str, CellResult],
    problems: Sequence[str],
    today: date,
    options: JudgeOptions = _DEFAULTS,
) -> JudgedRun:
    """Judge a run.

    Args:
        run: the run. Each of its cells must have a result.
        results: cell id to stored result.
        problems: what is wrong with the run's files, one line each.
        today: the day on which known issues are checked for expiry.
        options: how the run is judged.
    """
    baseline = options.baseline
    issues = KnownIssues(run.known_issues, today)
    cells = tuple(
        _judge_cell(cell, results[cell.id], issues, run)
        if cell.id in results
        else _absent(cell, run)
        for cell in run.cells
    )
    draft = JudgedRun(run=run, cells=cells, verdict=Verdict.NOT_READY, reasons=(), remarks=())
    if baseline is not None:
        draft = draft.model_copy(update={"comparison": compare(baseline, draft)})
    new = new_failures(draft, _failing(baseline))
    gates = gates_of(draft, new, options.subject_version)
    draft = draft.model_copy(
        update={
            "gates": gates,
            "known": issues.failures(cells),
            "expected": expected_failures(cells),
        }
    )
    standing = Standing(
        against=frozenset(_against(draft)),
        new=frozenset(new) if len(new) > run.gates.new_failures else frozenset(),
    )
    idle = _idle(issues, cells)
    some = run.check_filter is not None  # then which checks there are is not known
    told = [] if some else [f"known issue {i.reference} names no check: {i.check}" for i in idle]
    told += [] if any(cell.count(*PASSING) for cell in cells) else [_NOTHING]
    blockers = (
        *(Blocker(text=problem) for problem in problems),
        *blockers_of(draft, standing, for_release=options.for_release),
        *(Blocker(text=text) for text in told),
    )
    return draft.model_copy(
        update={
            "verdict": Verdict.NOT_READY if blockers else Verdict.READY,
            "reasons": tuple(blocker.text for blocker in blockers),
            "blockers": blockers,
            "remarks": tuple(remarks_of(draft, standing)),
            "unverified": (*unverified_of(draft), *_not_judged(idle if some else [])),
        }
    )


def judge_cell(result: CellResult, issues: Sequence[KnownIssue], today: date) -> JudgedCell:
    """Hold a cell's checks against the known issues, and say what the cell comes to then."""
    return _judge_cell(result.cell, result, KnownIssues(issues, today), None)


def exit_code(judged: JudgedRun) -> ExitCode:
    """Return what a judged run says to the shell."""
    if judged.run.interrupted:
        return ExitCode.INTERRUPTED
    if judged.verdict is Verdict.READY:
        return ExitCode.READY
    outcomes = {cell.outcome for cell in judged.cells}
    if outcomes & INFRASTRUCTURE and not outcomes & RED:
        return ExitCode.INFRASTRUCTURE
    return ExitCode.FAILURES


def _judge_cell(cell: Cell, result: CellResult, issues: KnownIssues, run: Run | None) -> JudgedCell:
    checks = issues.hold(result)
    outcome, reason, message = result.outcome, result.reason, result.message
    if outcome in FROM_CHECKS:
        other = (
            None if reason is None or reason in _REASONS_FROM_CHECKS else Problem(reason, message)
        )
        outcome, reason, message = cell_outcome(checks, other)
    return JudgedCell(
        cell=cell,
        outcome=outcome,
        reason=reason,
        message=message,
        checks=checks,
        result=result.model_copy(update={"checks": (), "cell": cell}),
        reproduce=reproduction(run, cell.id, result) if run else (),
    )


def _absent(cell: Cell, run: Run) -> JudgedCell:
    """Judge a cell that never reported."""
    # Of many machines one may have been interrupted; the silence of another is another matter.
    cancelled = run.interrupted and run.plan is None
    return JudgedCell(
        cell=cell,
        outcome=CellOutcome.CANCELLED if cancelled else CellOutcome.MISSING,
        reason=Reason.INTERRUPTED if cancelled else None,
        message="it never reported",
        checks=(),
        result=None,
        reproduce=reproduction(run, cell.id, None),
    )


def _failing(baseline: JudgedRun | None) -> frozenset[tuple[str, str]]:
    """Return the checks, cell by cell, that fail in the baseline, known issues included."""
    return frozenset(
        (cell.cell.id, check.id)
        for cell in (baseline.cells if baseline else ())
        for check in (
            *cell.failing,
            *(check for check in cell.checks if check.outcome is CheckOutcome.KNOWN_ISSUE),
        )
    )


def _against(judged: JudgedRun) -> Iterable[str]:
    """Yield the ids of the cells that stand against the release."""
    for cell in judged.cells:
        if cell.outcome in GREEN or excused(cell, judged.comparison):
            continue
        # A cell without a result is a hole in the evidence, whatever the gates ask for.
        if cell.result is None or is_required(judged, cell.cell.axes):
            yield cell.cell.id


def _idle(issues: KnownIssues, cells: Sequence[JudgedCell]) -> list[KnownIssue]:
    """Return the known issues that name none of the checks that ran: they guard nothing."""
    reported = {check.id for cell in cells for check in cell.checks}
    return issues.idle(reported) if reported else []


def _not_judged(unjudged: Sequence[KnownIssue]) -> list[str]:
    """Say which known issues may guard nothing, where that can't be told from some checks."""
    if not unjudged:
        return []
    named = listed(f"{issue.reference}: {issue.check}" for issue in unjudged)
    return [f"whether known issues name a check, since only selected checks ran ({named})"]


def selected_nothing(judged: JudgedRun) -> bool:
    """Return whether every cell that could run did, and none had a check that was selected.

    A cell with another outcome is evidence of something else, for which the run must be kept.
    """
    tried = [cell for cell in judged.cells if cell.outcome is not CellOutcome.UNSATISFIABLE]
    return (
        judged.run.check_filter is not None
        and bool(tried)
        and all(cell.reason is Reason.NO_CHECKS and not cell.checks for cell in tried)
    )
