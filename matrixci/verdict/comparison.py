"""Comparison of a judged run with an earlier one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from matrixci.model import CellOutcome, CheckOutcome, CheckResult
from matrixci.outcomes import CONCLUSIVE, FAILING, GREEN, PASSING
from matrixci.verdict.judged import (
    CellChange,
    Change,
    CheckChange,
    Comparison,
    JudgedCell,
    JudgedRun,
    PackageChange,
)
from matrixci.verdict.versions import day, subject_title, tracked

NOTABLE_RATIO: Final = 1.5
"""A changed metric is reported if it grew or shrank at least by this factor."""
NOTABLE_TIMES: Final = {"s": 0.05, "seconds": 0.05, "ms": 50.0, "milliseconds": 50.0}
"""Unit to the smallest change of a time that is reported. Less than 50 ms is noise."""
NOTABLE_VALUE: Final = 1e-6
"""Smallest change of any other metric that is reported. Less is a rounding error."""

DURATION: Final = "seconds"
"""The metric that every check has: its duration, which depends on the machine."""


def compare(before: JudgedRun, after: JudgedRun) -> Comparison:
    """Return how a run differs from an earlier one.

    Cells that were not selected in one of the runs are not compared.
    """
    return Comparison(
        before=before.run.id,
        before_began=before.run.began,
        before_subject=subject_title(before),
        before_day=day(before.run),
        before_commit=before.run.commit,
        before_verdict=before.verdict,
        cells=tuple(_cell_changes(before, after)),
        not_compared=tuple(_not_compared(before, after)),
    )


def _not_compared(before: JudgedRun, after: JudgedRun) -> list[str]:
    planned = [{cell.id for cell in one.run.cells} for one in (before, after)]
    left_out = [set(one.run.unselected) for one in (before, after)]
    return sorted((planned[0] & left_out[1]) | (planned[1] & left_out[0]))


def _cell_changes(before: JudgedRun, after: JudgedRun) -> Iterator[CellChange]:
    earlier = {cell.cell.id: cell for cell in before.cells}
    left_out = {*before.run.unselected, *after.run.unselected}
    # If only some checks ran, the others neither appeared nor disappeared.
    first = tracked(after.run)
    some_before = before.run.check_filter is not None
    some_after = after.run.check_filter is not None
    for cell in after.cells:
        was = earlier.pop(cell.cell.id, None)
        if was is None:
            if cell.cell.id not in left_out:
                yield _one_sided(cell.cell.id, Change.APPEARED, after=cell)
            continue
        changed = _cell_change(was, cell, first, appear=not some_before, disappear=not some_after)
        if changed is not None:
            yield changed
    for cell_id, cell in earlier.items():
        if cell_id not in left_out:
            yield _one_sided(cell_id, Change.DISAPPEARED, before=cell)


def _one_sided(
    cell_id: str,
    change: Change,
    before: JudgedCell | None = None,
    after: JudgedCell | None = None,
) -> CellChange:
    """Return the change of a cell, and of its checks, that only one of the runs has."""
    there = before or after
    return CellChange(
        cell=cell_id,
        change=change,
        before=before.outcome if before else None,
        after=after.outcome if after else None,
        checks=tuple(
            CheckChange(
                check=check.id,
                change=change,
                before=check.outcome if before else None,
                after=check.outcome if after else None,
            )
            for check in (there.checks if there else ())
        ),
    )


def _cell_change(
    before: JudgedCell, after: JudgedCell, first: Sequence[str], *, appear: bool, disappear: bool
) -> CellChange | None:
    change = _outcome_change(before.outcome, after.outcome)
    checks: tuple[CheckChange, ...] = ()
    metrics: dict[str, tuple[float, float]] = {}
    # A cell without checks is explained by its own outcome.
    if before.checks and after.checks:
        were = {check.id: check for check in before.checks}
        are = {check.id: check for check in after.checks}
        checks = tuple(
            one
            for one in _check_changes(were, are)
            if not (one.change is Change.APPEARED and not appear)
            and not (one.change is Change.DISAPPEARED and not disappear)
        )
        metrics = dict(_metric_changes(were, are))
    packages = tuple(_package_changes(_versions(before), _versions(after), first))
    python = _python(before), _python(after)
    differs = None not in python and python[0] != python[1]
    if not (change or checks or metrics or packages or differs):
        return None
    return CellChange(
        cell=after.cell.id,
        change=change,
        before=before.outcome,
        after=after.outcome,
        checks=checks,
        packages=packages,
        python=(str(python[0]), str(python[1])) if differs else None,
        metrics=metrics,
    )


def _outcome_change(before: CellOutcome, after: CellOutcome) -> Change | None:
    unsatisfiable = CellOutcome.UNSATISFIABLE
    if before is after:
        return None
    if before not in CONCLUSIVE or after not in CONCLUSIVE:
        return Change.OTHER
    if after is unsatisfiable:
        return Change.NEWLY_UNSATISFIABLE
    if before is unsatisfiable:
        return Change.NEWLY_SATISFIABLE
    if (before in GREEN) == (after in GREEN):
        return Change.OTHER
    return Change.FIXED if after in GREEN else Change.REGRESSED


def _check_changes(
    before: Mapping[str, CheckResult], after: Mapping[str, CheckResult]
) -> Iterator[CheckChange]:
    for check_id, check in after.items():
        was = before.get(check_id)
        if was is None:
            yield _check_change(check_id, Change.APPEARED, None, check.outcome)
        elif was.outcome is not check.outcome:
            change = _check_outcome_change(was.outcome, check.outcome)
            if change is not None:
                yield _check_change(check_id, change, was.outcome, check.outcome)
    for check_id, was in before.items():
        if check_id not in after:
            yield _check_change(check_id, Change.DISAPPEARED, was.outcome, None)


def _check_change(
    check_id: str, change: Change, before: CheckOutcome | None, after: CheckOutcome | None
) -> CheckChange:
    return CheckChange(check=check_id, change=change, before=before, after=after)


def _check_outcome_change(before: CheckOutcome, after: CheckOutcome) -> Change | None:
    if before in PASSING:
        if after in PASSING:
            return None  # it passes in both runs; only the known issue changed
        return Change.REGRESSED if after in FAILING else Change.OTHER
    if after in PASSING and (before in FAILING or before is CheckOutcome.KNOWN_ISSUE):
        return Change.FIXED
    return Change.OTHER


def _metric_changes(
    before: Mapping[str, CheckResult], after: Mapping[str, CheckResult]
) -> Iterator[tuple[str, tuple[float, float]]]:
    for check_id, check in after.items():
        if not check.metrics or (was := before.get(check_id)) is None:
            continue
        for name, metric in check.metrics.items():
            old = was.metrics.get(name)
            if old is not None and _is_notable(name, old, metric):
                yield f"{check_id}: {name}", (old, metric)


def _is_notable(name: str, before: float, after: float) -> bool:
    """Return whether a metric changed by more than noise."""
    if name == DURATION:
        return False
    changed = abs(after - before)
    least = NOTABLE_TIMES.get(name.rpartition("_")[2].lower(), NOTABLE_VALUE)
    smaller = min(abs(before), abs(after))
    return changed >= least and changed >= (NOTABLE_RATIO - 1) * smaller


def _package_changes(
    before: Mapping[str, str], after: Mapping[str, str], first: Sequence[str]
) -> Iterator[PackageChange]:
    """Yield the packages that differ, the subject and its companions first."""
    # A cell without a lock has no packages to compare.
    if not before or not after or before == after:
        return
    names = sorted(before.keys() | after.keys(), key=lambda name: (name not in first, name))
    for name in names:
        versions = before.get(name), after.get(name)
        if versions[0] != versions[1]:
            yield PackageChange(name=name, before=versions[0], after=versions[1])


def _versions(cell: JudgedCell) -> Mapping[str, str]:
    return cell.result.lock.versions if cell.result and cell.result.lock else {}


def _python(cell: JudgedCell) -> str | None:
    return cell.result.attestation.python if cell.result and cell.result.attestation else None
