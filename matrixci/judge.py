"""From results to a verdict: pure functions over a run and its cells, no input or output.

Known issues are held against the checks, missing cells are named, and the verdict follows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, assert_never

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from matrixci.errors import ExitCode
from matrixci.evidence import Problem, cell_outcome
from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    KnownIssue,
    Reason,
    Run,
)

FAILING: Final = frozenset(
    {
        CheckOutcome.FAILED,
        CheckOutcome.CRASHED,
        CheckOutcome.TIMED_OUT,
        CheckOutcome.MISSING,
        CheckOutcome.FLAKY,
    }
)
"""Outcomes of a check that a green cell can't have."""

GREEN: Final = frozenset({CellOutcome.PASSED, CellOutcome.PARTIAL})
"""Outcomes of a cell in which nothing failed."""

_NAMED: Final = 2
_EXCUSABLE: Final = FAILING - {CheckOutcome.MISSING}
_RAN: Final = GREEN | {CellOutcome.FAILED}
# Reasons that follow from the checks' outcomes, so known issues may change them.
_FROM_CHECKS: Final = frozenset({Reason.CHECKS, Reason.NEEDS})


class Verdict(StrEnum):
    """May the release be made?"""

    READY = "READY"
    NOT_READY = "NOT READY"


@dataclass(frozen=True, kw_only=True)
class JudgedCell:
    """A cell after judgement."""

    cell: Cell
    outcome: CellOutcome
    reason: Reason | None
    message: str
    checks: tuple[CheckResult, ...]
    result: CellResult | None
    """As stored; None where the cell never reported."""

    def count(self, *outcomes: CheckOutcome) -> int:
        """Count the checks that came to one of these."""
        return sum(check.outcome in outcomes for check in self.checks)

    @property
    def failing(self) -> tuple[CheckResult, ...]:
        """The checks that keep the cell from being green."""
        return tuple(check for check in self.checks if check.outcome in FAILING)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Those of the failing checks that ran; why others are missing is the cell's to say."""
        return tuple(c for c in self.failing if c.outcome is not CheckOutcome.MISSING)

    @property
    def unmet(self) -> tuple[CheckResult, ...]:
        """The checks that need what this machine lacks."""
        return tuple(check for check in self.checks if check.need is not None)


@dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """A run after judgement: all that a report is made from."""

    run: Run
    cells: tuple[JudgedCell, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is not ready, each in a line; empty where it is."""
    remarks: tuple[str, ...]
    """What a reader must know beside: unverified claims, stale known issues."""
    exit_code: ExitCode


def judge(
    run: Run, results: Mapping[str, CellResult], problems: Sequence[str], today: date
) -> JudgedRun:
    """Judge a run.

    Args:
        run: the run; its cells are those that must have reported.
        results: cell id to stored result.
        problems: what was wrong with the run's files, one line each.
        today: the day on which known issues are held against their expiry.
    """
    cells = tuple(
        judge_cell(results[cell.id], run.known_issues, today)
        if cell.id in results
        else _absent(cell, interrupted=run.interrupted)
        for cell in run.cells
    )
    reasons = (*problems, *_reasons(cells), *_idle_issues(run, cells))
    passed = (CheckOutcome.PASSED, CheckOutcome.FIXED)
    if not any(cell.outcome in GREEN and cell.count(*passed) for cell in cells):
        reasons = (*reasons, "no check passed, so nothing is verified")
    verdict = Verdict.NOT_READY if reasons else Verdict.READY
    return JudgedRun(
        run=run,
        cells=cells,
        verdict=verdict,
        reasons=reasons,
        remarks=tuple(_remarks(run, cells)),
        exit_code=_exit_code(run, cells, verdict),
    )


def _absent(cell: Cell, *, interrupted: bool) -> JudgedCell:
    """Judge a cell that never reported."""
    return JudgedCell(
        cell=cell,
        outcome=CellOutcome.CANCELLED if interrupted else CellOutcome.ERROR,
        reason=Reason.INTERRUPTED if interrupted else Reason.NO_RESULT,
        message="it never reported",
        checks=(),
        result=None,
    )


def judge_cell(result: CellResult, issues: Sequence[KnownIssue], today: date) -> JudgedCell:
    """Hold a cell's checks against the known issues, and say what the cell comes to then."""
    versions = result.lock.versions if result.lock else {}
    checks = tuple(
        _hold(check, _applicable(issues, result.cell, check.id, versions), today)
        for check in result.checks
    )
    outcome, reason, message = result.outcome, result.reason, result.message
    if outcome in _RAN:
        other = None if reason is None or reason in _FROM_CHECKS else Problem(reason, message)
        outcome, reason, message = cell_outcome(checks, other)
    return JudgedCell(
        cell=result.cell,
        outcome=outcome,
        reason=reason,
        message=message,
        checks=checks,
        result=result,
    )


def _hold(check: CheckResult, issue: KnownIssue | None, today: date) -> CheckResult:
    """Hold a check against the known issue that speaks of it."""
    if issue is None:
        return check
    if check.outcome is CheckOutcome.PASSED:
        stale = f"known issue {issue.reference} no longer holds"
        return check.model_copy(update={"outcome": CheckOutcome.FIXED, "reason": stale})
    if check.outcome not in _EXCUSABLE:
        return check
    if issue.expires <= today:
        expired = f"known issue {issue.reference} expired on {issue.expires}"
        return check.model_copy(update={"reason": expired})
    known = f"{issue.reference}: {issue.reason}"
    return check.model_copy(update={"outcome": CheckOutcome.KNOWN, "reason": known})


def _applicable(
    issues: Sequence[KnownIssue], cell: Cell, check: str, versions: Mapping[str, str]
) -> KnownIssue | None:
    return next((issue for issue in issues if applies(issue, cell, check, versions)), None)


def applies(issue: KnownIssue, cell: Cell, check: str, versions: Mapping[str, str]) -> bool:
    """Return whether a known issue speaks of this check in this cell."""
    # Brackets stand for themselves: they are part of a parametrised check's id.
    pattern = issue.check.replace("[", "[[]")
    named = check == issue.check or fnmatchcase(check, pattern)
    return named and speaks_of(issue, cell, versions)


def speaks_of(issue: KnownIssue, cell: Cell, versions: Mapping[str, str]) -> bool:
    """Return whether a known issue holds in a cell, whatever its checks."""
    return all(
        cell.axes.get(axis) in ((values,) if isinstance(values, str) else values)
        for axis, values in issue.where.items()
    ) and all(
        _fits(versions.get(canonicalize_name(package)), specifier)
        for package, specifier in issue.versions.items()
    )


def _fits(version: str | None, specifier: str) -> bool:
    return version is not None and SpecifierSet(specifier).contains(version, prereleases=True)


def _reasons(cells: Sequence[JudgedCell]) -> Iterable[str]:
    """Say what stands against a release: one line for each failing check, then for each cell."""
    failing: dict[str, list[str]] = {}
    for cell in cells:
        for check in cell.failed:
            failing.setdefault(check.id, []).append(cell.cell.id)
    for check_id, where in failing.items():
        yield f"{check_id} fails in {_cells(where, len(cells))}"
    others: dict[str, list[str]] = {}
    for cell in cells:
        match cell.outcome:
            case CellOutcome.PASSED | CellOutcome.PARTIAL | CellOutcome.UNSATISFIABLE:
                continue
            case CellOutcome.FAILED if cell.failed and cell.reason is Reason.CHECKS:
                continue
            case CellOutcome.FAILED | CellOutcome.BLOCKED | CellOutcome.ERROR:
                others.setdefault(f"{cell.outcome} ({cell.reason})", []).append(cell.cell.id)
            case CellOutcome.CANCELLED:
                others.setdefault("cancelled", []).append(cell.cell.id)
            case _ as never:
                assert_never(never)
    for outcome, where in others.items():
        yield f"{_cells(where, len(cells))}: {outcome}"


def _cells(ids: Sequence[str], total: int) -> str:
    return ", ".join(ids) if len(ids) <= _NAMED else f"{len(ids)} of {total} cells"


def _idle_issues(run: Run, cells: Sequence[JudgedCell]) -> Iterable[str]:
    """Name the known issues that speak of no check at all: they guard nothing."""
    reported = {check.id for cell in cells for check in cell.checks}
    if run.check_filter is not None or not reported:
        return
    for issue in run.known_issues:
        pattern = issue.check.replace("[", "[[]")
        if not any(check == issue.check or fnmatchcase(check, pattern) for check in reported):
            yield f"known issue {issue.reference} names no check: {issue.check}"


def _remarks(run: Run, cells: Sequence[JudgedCell]) -> Iterable[str]:
    unmet: dict[str, set[str]] = {}
    for cell in cells:
        for check in cell.unmet:
            unmet.setdefault(check.reason, set()).add(check.id)
    for reason, ids in unmet.items():
        yield f"not verified: {len(ids)} checks ({reason})"
    fixed = {
        check.id: check.reason
        for c in cells
        for check in c.checks
        if check.outcome is CheckOutcome.FIXED
    }
    for check_id, reason in fixed.items():
        yield f"fixed: {check_id} ({reason}); take it out of known-issues"
    fallbacks = [c for c in cells if c.result and c.result.lock and c.result.lock.fallback]
    if fallbacks:
        backends = sorted({str(cell.cell.torch_backend) for cell in fallbacks})
        yield (
            f"PyTorch's own index could not be reached ({', '.join(backends)}): "
            f"{len(fallbacks)} cells have the default index's build of torch"
        )
    if run.unselected:
        yield f"{len(run.unselected)} cells of the matrix were not selected"
    if run.check_filter is not None:
        yield f"only checks that match {run.check_filter!r} ran"


def _exit_code(run: Run, cells: Sequence[JudgedCell], verdict: Verdict) -> ExitCode:
    if run.interrupted:
        return ExitCode.INTERRUPTED
    if verdict is Verdict.READY:
        return ExitCode.READY
    against = {CellOutcome.FAILED, CellOutcome.BLOCKED}
    infrastructure = any(cell.outcome is CellOutcome.ERROR for cell in cells)
    if infrastructure and not any(cell.outcome in against for cell in cells):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.FAILURES
