"""Judgement of a run: from stored results to a verdict, without reading or writing anything.

Known issues are applied to the checks, cells without a result are added as missing, the run is
compared with its baseline, the gates are evaluated, and the verdict follows from all of these.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from matrixci.verdict.explanation import Blocking, blockers_of, remarks_of, unverified_of
from matrixci.verdict.gates import excused, gates_of, is_required, new_failures
from matrixci.verdict.judged import Blocker, JudgedCell, JudgedRun, Verdict
from matrixci.verdict.known_issues import KnownIssues, expected_failures
from matrixci.verdict.reproduce_command import reproduction

_NOTHING: Final = "no check passed, so nothing is verified"
# Reasons that follow from the outcomes of checks, so known issues can change them.
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
    issues = KnownIssues(run.known_issues, today)
    cells = _judge_cells(run, results, issues)
    draft = JudgedRun(run=run, cells=cells, verdict=Verdict.NOT_READY, reasons=(), remarks=())
    if options.baseline is not None:
        draft = draft.model_copy(update={"comparison": compare(options.baseline, draft)})
    new = new_failures(draft, _failing(options.baseline))
    findings = {
        "gates": gates_of(draft, new, options.subject_version),
        "known": issues.failures(cells),
        "expected": expected_failures(cells),
    }
    draft = draft.model_copy(update=findings)
    blocking = Blocking(
        cells=frozenset(_blocking_cells(draft)),
        new_failures=frozenset(new) if len(new) > run.gates.new_failures else frozenset(),
    )
    blockers = (
        *(Blocker(text=problem) for problem in problems),
        *blockers_of(draft, blocking, for_release=options.for_release),
        *_other_blockers(draft, issues),
    )
    conclusions = {
        "verdict": Verdict.NOT_READY if blockers else Verdict.READY,
        "reasons": tuple(blocker.text for blocker in blockers),
        "blockers": blockers,
        "remarks": tuple(remarks_of(draft, blocking)),
        "unverified": (*unverified_of(draft), *_unverified_issues(draft, issues)),
    }
    return draft.model_copy(update=conclusions)


def _judge_cells(
    run: Run, results: Mapping[str, CellResult], issues: KnownIssues
) -> tuple[JudgedCell, ...]:
    return tuple(
        _judge_cell(cell, results[cell.id], issues, run)
        if cell.id in results
        else _absent(cell, run)
        for cell in run.cells
    )


def _other_blockers(judged: JudgedRun, issues: KnownIssues) -> Iterator[Blocker]:
    """Yield blockers that concern the run as a whole."""
    if judged.run.check_filter is None:
        for issue in _unmatched(issues, judged.cells):
            yield Blocker(text=f"known issue {issue.reference} matches no check: {issue.check}")
    if not any(cell.count(*PASSING) for cell in judged.cells):
        yield Blocker(text=_NOTHING)


def judge_cell(result: CellResult, issues: Sequence[KnownIssue], today: date) -> JudgedCell:
    """Return a cell after known issues were applied to its checks."""
    return _judge_cell(result.cell, result, KnownIssues(issues, today), None)


def exit_code(judged: JudgedRun) -> ExitCode:
    """Return the exit code for a judged run."""
    if judged.run.interrupted:
        return ExitCode.INTERRUPTED
    if judged.verdict is Verdict.READY:
        return ExitCode.READY
    outcomes = {cell.outcome for cell in judged.cells}
    if outcomes & INFRASTRUCTURE and not outcomes & RED:
        return ExitCode.INFRASTRUCTURE
    return ExitCode.FAILURES


def _judge_cell(cell: Cell, result: CellResult, issues: KnownIssues, run: Run | None) -> JudgedCell:
    checks = issues.apply(result)
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
    """Return the judged cell for a cell without a result."""
    # With a plan, cells ran on many machines: an interruption of one does not explain another.
    cancelled = run.interrupted and run.plan is None
    return JudgedCell(
        cell=cell,
        outcome=CellOutcome.CANCELLED if cancelled else CellOutcome.MISSING,
        reason=Reason.INTERRUPTED if cancelled else None,
        message="no result was reported",
        checks=(),
        result=None,
        reproduce=reproduction(run, cell.id, None),
    )


def _failing(baseline: JudgedRun | None) -> frozenset[tuple[str, str]]:
    """Return the checks of each cell that fail in the baseline, including known issues."""
    return frozenset(
        (cell.cell.id, check.id)
        for cell in (baseline.cells if baseline else ())
        for check in (
            *cell.failing,
            *(check for check in cell.checks if check.outcome is CheckOutcome.KNOWN_ISSUE),
        )
    )


def _blocking_cells(judged: JudgedRun) -> Iterable[str]:
    """Yield the ids of the cells that block the release."""
    for cell in judged.cells:
        if cell.outcome in GREEN or excused(cell, judged.comparison):
            continue
        # A cell without a result always blocks, even if no gate requires the cell.
        if cell.result is None or is_required(judged, cell.cell.axes):
            yield cell.cell.id


def _unmatched(issues: KnownIssues, cells: Sequence[JudgedCell]) -> list[KnownIssue]:
    """Return the known issues that match none of the checks that ran."""
    reported = {check.id for cell in cells for check in cell.checks}
    return issues.unmatched(reported) if reported else []


def _unverified_issues(judged: JudgedRun, issues: KnownIssues) -> Iterator[str]:
    """Yield a note on known issues that only a run of all checks could match."""
    if judged.run.check_filter is None:
        return
    if unmatched := _unmatched(issues, judged.cells):
        named = listed(f"{issue.reference}: {issue.check}" for issue in unmatched)
        yield f"whether known issues match a check, because only selected checks ran ({named})"


def selected_nothing(judged: JudgedRun) -> bool:
    """Return whether every satisfiable cell ran, but no check matched the filter.

    If any cell has another outcome, the run has results and must be kept.
    """
    tried = [cell for cell in judged.cells if cell.outcome is not CellOutcome.UNSATISFIABLE]
    return (
        judged.run.check_filter is not None
        and bool(tried)
        and all(cell.reason is Reason.NO_CHECKS and not cell.checks for cell in tried)
    )
