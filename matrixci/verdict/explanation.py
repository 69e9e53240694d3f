"""The sentences of a verdict: blockers, remarks, and what was not verified."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, assert_never

from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Reason
from matrixci.outcomes import outcome_words
from matrixci.util.text import several
from matrixci.verdict.cell_sets import failing_words, outcomes_of
from matrixci.verdict.gates import BOUNDS, DISAPPEARED, NEW_FAILURES, REQUIRE, Failure, is_required
from matrixci.verdict.judged import Blocker, Change, Gate, GateOutcome, JudgedCell, JudgedRun
from matrixci.verdict.known_issues import expiry
from matrixci.verdict.unenforced import unenforced_words

_NAMED: Final = 2
_EVIDENCE: Final = 3


@dataclass(frozen=True, kw_only=True)
class Blocking:
    """The cells and failures that block a release."""

    cells: frozenset[str]
    """Ids of the cells that must be green and are not, or that have no result."""
    new_failures: frozenset[Failure]
    """The new failures, if there are more of them than allowed."""

    def includes(self, cell: JudgedCell, check_id: str) -> bool:
        """Return whether a check that fails in a cell blocks the release."""
        return cell.cell.id in self.cells or (cell.cell.id, check_id) in self.new_failures


def blockers_of(judged: JudgedRun, blocking: Blocking, *, for_release: bool) -> Iterator[Blocker]:
    """Yield the blockers of a release: failing checks, then cells, then other gates."""
    yield from _check_blockers(judged, blocking, is_blocking=True)
    yield from _cell_blockers(judged, blocking, is_blocking=True)
    for gate in judged.gates:
        if gate.required and _is_own_blocker(judged, gate, for_release=for_release):
            not_verified = ", not verified" if gate.outcome is GateOutcome.UNVERIFIED else ""
            text = f"gate {gate.name}{not_verified}: {gate.asks}; {_evidence(gate)}"
            yield Blocker(text=text)


def remarks_of(judged: JudgedRun, blocking: Blocking) -> Iterator[str]:
    """Yield what a reader should know in addition to the verdict."""
    for blocker in (
        *_check_blockers(judged, blocking, is_blocking=False),
        *_cell_blockers(judged, blocking, is_blocking=False),
    ):
        yield f"does not block the release: {blocker.text}"
    warned: dict[tuple[str, bool], list[str]] = {}
    for cell in judged.cells:
        for check in cell.warnings:
            flaky = check.outcome is CheckOutcome.FLAKY
            warned.setdefault((check.id, flaky), []).append(cell.cell.id)
    for (check_id, flaky), where in warned.items():
        verb = "is flaky" if flaky else "fails"
        yield f"warning: {check_id} {verb} in {_cells(where, len(judged.cells))}"
    fixed = {
        check.id: check.reason
        for cell in judged.cells
        for check in cell.checks
        if check.outcome is CheckOutcome.UNEXPECTED_PASS
    }
    for check_id, reason in fixed.items():
        yield f"unexpected pass: {check_id} ({reason}); remove it from known-issues"
    yield from _fallback(judged.cells)


def unverified_of(judged: JudgedRun) -> Iterator[str]:
    """Yield what the run did not verify."""
    unmet: dict[str, set[str]] = {}
    for cell in judged.cells:
        for check in cell.unmet:
            unmet.setdefault(check.reason, set()).add(check.id)
    for reason, ids in unmet.items():
        yield f"{several(len(ids), 'check')} ({reason})"
    if limits := unenforced_words(judged):
        yield f"limits on {limits}, which the engine did not enforce"
    if judged.run.unselected:
        tier = "" if judged.run.tier is None else f" (tier {judged.run.tier})"
        yield f"{several(len(judged.run.unselected), 'cell')} of the matrix not selected{tier}"
    if judged.run.check_filter is not None:
        yield f"only checks that match {judged.run.check_filter!r} ran"
    if judged.comparison and judged.comparison.not_compared:
        count = len(judged.comparison.not_compared)
        cells = several(count, "cell")
        yield f"{cells} not compared with the baseline: not selected in one of the runs"
    for gate in judged.gates:
        # An unselected cell is listed above, and a missing baseline was not requested.
        if gate.outcome is GateOutcome.UNVERIFIED and gate.name not in {REQUIRE, DISAPPEARED}:
            yield f"{gate.asks}: {_evidence(gate)}"


def _is_own_blocker(judged: JudgedRun, gate: Gate, *, for_release: bool) -> bool:
    """Return whether a gate is a blocker that no listed check or cell explains."""
    match gate.outcome:
        case GateOutcome.MET:
            return False
        case GateOutcome.UNVERIFIED:
            return for_release
        case GateOutcome.UNMET:
            everything = all(is_required(judged, cell.cell.axes) for cell in judged.cells)
            return gate.name not in {REQUIRE, NEW_FAILURES} and not (
                gate.name == BOUNDS and everything
            )
        case _ as never:
            assert_never(never)


def _evidence(gate: Gate) -> str:
    return ", ".join(gate.evidence[:_EVIDENCE])


@dataclass(frozen=True, kw_only=True)
class _Failing:
    """A check that fails, or is flaky, in these cells."""

    check: CheckResult
    """The result in the first of the cells."""
    cells: tuple[str, ...]


def _check_blockers(
    judged: JudgedRun, blocking: Blocking, *, is_blocking: bool
) -> Iterator[Blocker]:
    failing: dict[tuple[str, bool], tuple[CheckResult, list[str]]] = {}
    for cell in judged.cells:
        for check in cell.failed:
            if blocking.includes(cell, check.id) is is_blocking:
                key = check.id, _is_flaky(check)
                failing.setdefault(key, (check, []))[1].append(cell.cell.id)
    # Instances of one check that fail in the same cells are one blocker.
    grouped: dict[tuple[str, bool, tuple[str, ...]], list[_Failing]] = {}
    for (check_id, flaky), (check, where) in failing.items():
        one = _Failing(check=check, cells=tuple(where))
        claim = (check_id.partition("[")[0], flaky, one.cells)
        grouped.setdefault(claim, []).append(one)
    outcomes = outcomes_of(judged, {instances[0].check.id for instances in grouped.values()})
    for instances in grouped.values():
        yield _blocker(judged, instances, outcomes[instances[0].check.id])


def _is_flaky(check: CheckResult) -> bool:
    return check.outcome is CheckOutcome.FLAKY


def _blocker(
    judged: JudgedRun, instances: Sequence[_Failing], outcomes: Mapping[str, CheckOutcome]
) -> Blocker:
    """Return the blocker for instances of one check that fail in the same cells."""
    check, cells = instances[0].check, instances[0].cells
    more = f" and {len(instances) - 1} more of its instances" if len(instances) > 1 else ""
    one, many = ("is flaky", "are flaky") if _is_flaky(check) else ("fails", "fail")
    where = failing_words(judged, cells, outcomes) or _cells(cells, len(judged.cells))
    expired = _expired(judged, {failing.check.id for failing in instances}, cells)
    text = f"{check.id}{more} {many if more else one} in {where}"
    return Blocker(
        text="; ".join([text, *expired]),
        check=check.id,
        claim=check.claim,
        outcome=check.outcome,
        instances=len(instances),
        message=check.message or check.reason,
        note="; ".join(expired),
        cells=cells,
    )


def _expired(judged: JudgedRun, checks: AbstractSet[str], cells: Sequence[str]) -> list[str]:
    """Return a note for each expired known issue that matches these failures."""
    return [
        expiry(issue.reference, issue.expires)
        for issue in judged.known
        if issue.expired
        and not checks.isdisjoint(issue.checks)
        and not frozenset(cells).isdisjoint(issue.cells)
    ]


def _cell_blockers(
    judged: JudgedRun, blocking: Blocking, *, is_blocking: bool
) -> Iterator[Blocker]:
    """Yield a blocker for each cell outcome that no check explains."""
    others: dict[str, list[str]] = {}
    for cell in judged.cells:
        if (cell.cell.id in blocking.cells) is is_blocking and (words := _outcome_of(judged, cell)):
            others.setdefault(words, []).append(cell.cell.id)
    for outcome, where in others.items():
        text = f"{_cells(where, len(judged.cells))}: {outcome}"
        yield Blocker(text=text, cells=tuple(where))


def _outcome_of(judged: JudgedRun, cell: JudgedCell) -> str:
    match cell.outcome:
        case CellOutcome.PASSED | CellOutcome.PARTIAL:
            return ""
        case CellOutcome.UNSATISFIABLE:
            change = judged.comparison.cell(cell.cell.id) if judged.comparison else None
            newly = change is not None and change.change is Change.NEWLY_UNSATISFIABLE
            return "newly unsatisfiable" if newly else ""
        case CellOutcome.FAILED if cell.failed and cell.reason is Reason.CHECKS:
            return ""
        case CellOutcome.FAILED | CellOutcome.BLOCKED | CellOutcome.ERROR | CellOutcome.MISSING:
            return outcome_words(cell.outcome, cell.reason)
        case CellOutcome.CANCELLED:
            return "cancelled"
        case _ as never:
            assert_never(never)


def _cells(ids: Sequence[str], total: int) -> str:
    return ", ".join(ids) if len(ids) <= _NAMED else f"{len(ids)} of {total} cells"


def _fallback(cells: Iterable[JudgedCell]) -> Iterator[str]:
    fallbacks = [c for c in cells if c.result and c.result.lock and c.result.lock.fallback]
    if fallbacks:
        backends = sorted({str(cell.cell.torch_backend) for cell in fallbacks})
        yield (
            f"PyTorch's own index could not be reached ({', '.join(backends)}): "
            f"torch of the default index is installed in {several(len(fallbacks), 'cell')}"
        )
