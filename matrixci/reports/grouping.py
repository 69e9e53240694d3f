"""Group identical results across cells, so that a report shows each once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Reason
from matrixci.outcomes import FAILING, FROM_KNOWN_ISSUE, GREEN, is_warning
from matrixci.util.text import several
from matrixci.verdict.cell_sets import failing_words, outcomes_of, set_words
from matrixci.verdict.judged import JudgedCell, JudgedRun


@dataclass(frozen=True, kw_only=True)
class CheckGroup:
    """A check with the same outcome and reason in one or more cells."""

    check: CheckResult
    """its result in the first of the cells"""
    cells: tuple[JudgedCell, ...]
    more: str = ""
    """other checks with the same result in the same cells, in words"""
    scope: str = ""
    """the cells described by common axis values; empty if they should be listed"""


@dataclass(frozen=True, kw_only=True)
class CellGroup:
    """Cells with the same outcome, for a reason that no check explains."""

    outcome: CellOutcome
    reason: Reason | None
    message: str
    cells: tuple[JudgedCell, ...]
    scope: str = ""
    """the cells described by common axis values; empty if they should be listed"""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The outcomes of a check in all cells."""

    check: str
    outcomes: Counter[CheckOutcome]
    """without failures that are only warnings"""
    warnings: int = 0

    @property
    def unexplained(self) -> bool:
        """Whether there are outcomes that the report explains nowhere else."""
        # A missing check is explained by its cell.
        return bool(self.outcomes.keys() & FROM_KNOWN_ISSUE)


def failures(judged: JudgedRun) -> list[CheckGroup]:
    """Return the checks that keep cells from being green."""
    return _grouped(judged, lambda cell: cell.failed)


def warnings(judged: JudgedRun) -> list[CheckGroup]:
    """Return the failed checks that are only warnings."""
    return _grouped(judged, lambda cell: cell.warnings)


def known_failures(judged: JudgedRun) -> list[CheckGroup]:
    """Return the checks that fail because of a known issue."""
    known = CheckOutcome.KNOWN_ISSUE
    return _grouped(judged, lambda cell: [c for c in cell.checks if c.outcome is known])


def _grouped(
    judged: JudgedRun, chosen: Callable[[JudgedCell], Iterable[CheckResult]]
) -> list[CheckGroup]:
    groups: dict[tuple[str, CheckOutcome, str], tuple[CheckResult, list[JudgedCell]]] = {}
    for cell in judged.cells:
        for check in chosen(cell):
            key = check.id, check.outcome, check.reason
            groups.setdefault(key, (check, []))[1].append(cell)
    outcomes = outcomes_of(judged, {check.id for check, _ in groups.values()})
    return [
        CheckGroup(check=check, cells=tuple(of), scope=_scope(judged, of, outcomes[check.id]))
        for check, of in groups.values()
    ]


def _scope(
    judged: JudgedRun, cells: Iterable[JudgedCell], outcomes: Mapping[str, CheckOutcome]
) -> str:
    return failing_words(judged, {cell.cell.id for cell in cells}, outcomes)


def merge_similar(groups: Sequence[CheckGroup]) -> list[CheckGroup]:
    """Merge groups that probably have the same cause.

    These are checks with the same message in the same cells, and instances of one parametrized
    check that fail in the same cells with any message.
    """
    by_message: dict[object, list[CheckGroup]] = {}
    for number, group in enumerate(groups):
        check = group.check
        key: object = (check.outcome, _ids(group), check.message) if check.message else number
        by_message.setdefault(key, []).append(group)
    by_claim: dict[object, list[CheckGroup]] = {}
    for place, same in enumerate(by_message.values()):
        claims = {function_of(one.check.id) for one in same}
        alone = len(claims) == 1
        key = (same[0].check.outcome, _ids(same[0]), *claims) if alone else place
        by_claim.setdefault(key, []).extend(same)
    return [replace(same[0], more=_more(same)) for same in by_claim.values()]


def function_of(check_id: str) -> str:
    """Return the id of a check without its parameters."""
    return check_id.partition("[")[0]


def _ids(group: CheckGroup) -> tuple[str, ...]:
    return tuple(cell.cell.id for cell in group.cells)


def _more(same: Sequence[CheckGroup]) -> str:
    if len(same) == 1:
        return ""
    functions = {function_of(one.check.id) for one in same}
    if len(functions) > 1:
        return f" and {several(len(same) - 1, 'other check')} with the same message"
    (function,) = functions
    instances = sum(function_of(check.id) == function for check in same[0].cells[0].checks)
    return f" and {len(same) - 1} more of its {instances} instances"


def other_cells(judged: JudgedRun) -> list[CellGroup]:
    """Return the cells that are not green for a reason other than their checks."""
    groups: dict[tuple[CellOutcome, Reason | None, str], list[JudgedCell]] = {}
    for cell in judged.cells:
        if cell.outcome not in GREEN and not is_explained_by_checks(cell):
            groups.setdefault((cell.outcome, cell.reason, cell.message), []).append(cell)
    every = [cell.cell for cell in judged.cells]
    return [
        CellGroup(
            outcome=outcome,
            reason=reason,
            message=message,
            cells=tuple(cells),
            scope=set_words({cell.cell.id for cell in cells}, every, every),
        )
        for (outcome, reason, message), cells in groups.items()
    ]


def is_explained_by_checks(cell: JudgedCell) -> bool:
    """Return whether failing checks fully explain the outcome of a cell."""
    return bool(cell.failed) and cell.reason is Reason.CHECKS


def tallies(judged: JudgedRun) -> list[Tally]:
    """Return the outcomes of each check over all cells."""
    counts: dict[str, Counter[CheckOutcome]] = {}
    warned: Counter[str] = Counter()
    for check in chain.from_iterable(cell.checks for cell in judged.cells):
        found = counts.get(check.id)
        if found is None:
            found = counts[check.id] = Counter()
        if is_warning(check):
            warned[check.id] += 1
        else:
            found[check.outcome] += 1
    return [
        Tally(check=check, outcomes=outcomes, warnings=warned[check])
        for check, outcomes in counts.items()
    ]


def counted(judged: JudgedRun) -> str:
    """Return the number of cells with each outcome, in words."""
    count = Counter(cell.outcome for cell in judged.cells)
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in CellOutcome if count[outcome])


def count_words(outcome: CheckOutcome, count: int) -> str:
    """Return a number of checks with their outcome, such as "2 known issues" or "1 failed"."""
    if outcome is CheckOutcome.KNOWN_ISSUE:
        return several(count, "known issue")
    if outcome is CheckOutcome.UNEXPECTED_PASS:
        return f"{count} unexpected {'pass' if count == 1 else 'passes'}"
    return f"{count} {outcome}"


def failing_counts(cell: JudgedCell) -> list[str]:
    """Return the number of failing checks of a cell by outcome, in words, and of its warnings."""
    count = Counter(check.outcome for check in cell.failing)
    parts = [count_words(each, count[each]) for each in sorted(FAILING) if count[each]]
    if known := cell.count(CheckOutcome.KNOWN_ISSUE):
        parts.append(count_words(CheckOutcome.KNOWN_ISSUE, known))
    if warned := len(cell.warnings):
        parts.append(several(warned, "warning"))
    return parts
