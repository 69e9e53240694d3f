"""Evaluation of the release gates against a judged run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

from matrixci.model import CellOutcome, CheckOutcome, Enforcement
from matrixci.outcomes import GREEN, PASSING, outcome_words
from matrixci.util.text import several
from matrixci.verdict.judged import (
    CellChange,
    Change,
    Comparison,
    Gate,
    GateOutcome,
    JudgedCell,
    JudgedRun,
)
from matrixci.verdict.versions import version_counts

REQUIRE: Final = "require"
NEW_FAILURES: Final = "new-failures"
GPU: Final = "gpu"
BOUNDS: Final = "bounds"
APPLICABLE: Final = "applicable-checks"
DISAPPEARED: Final = "disappeared-checks"
SUBJECT_VERSION: Final = "subject-version"

Failure = tuple[str, str]
"""A cell id and the id of a check that fails in that cell."""

_LISTED: Final = 10


def has_values(axes: Mapping[str, str], values: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a cell with these axes has one of the given values on each given axis."""
    return all(axes.get(axis) in allowed for axis, allowed in values.items())


def is_required(judged: JudgedRun, axes: Mapping[str, str]) -> bool:
    """Return whether a cell with these axes must be green for a release."""
    return any(has_values(axes, values) for values in judged.run.gates.require)


def excused(cell: JudgedCell, comparison: Comparison | None) -> bool:
    """Return whether a cell is unsatisfiable, and not newly so since the baseline."""
    if cell.outcome is not CellOutcome.UNSATISFIABLE:
        return False
    change = comparison.cell(cell.cell.id) if comparison else None
    return change is None or change.change is not Change.NEWLY_UNSATISFIABLE


def new_failures(judged: JudgedRun, known_before: frozenset[Failure]) -> list[Failure]:
    """Return the failing checks of each cell that did not fail in the baseline."""
    return [
        failure
        for cell in judged.cells
        for check in cell.failed
        if (failure := (cell.cell.id, check.id)) not in known_before
    ]


def gates_of(
    judged: JudgedRun, new: Sequence[Failure], subject_version: str | None
) -> tuple[Gate, ...]:
    """Return every gate of a run with its outcome.

    Args:
        judged: the run, with its comparison, if there is a baseline.
        new: the new failures.
        subject_version: the version that most cells must have; None: any.
    """
    gates = [_require(judged, values) for values in judged.run.gates.require]
    gates.append(_new_failures(judged, new))
    if not judged.run.checks_chosen and (gate := _applicable(judged)):
        gates.append(gate)
    if _is_about_gpus(judged):
        gates.append(_gpu(judged))
    gates += [_bounds(judged, axis) for axis in judged.run.gates.bounds]
    gates += [_disappeared(judged)]
    if subject_version is not None:
        gates.append(_subject_version(judged, subject_version))
    return tuple(gates)


def _gate(
    name: str, asks: str, outcome: GateOutcome, evidence: Sequence[str], *, required: bool = True
) -> Gate:
    cut = len(evidence) - _LISTED
    lines = [*evidence[:_LISTED], *([f"and {cut} more"] if cut > 0 else [])]
    return Gate(name=name, asks=asks, outcome=outcome, required=required, evidence=tuple(lines))


def _require(judged: JudgedRun, values: Mapping[str, Sequence[str]]) -> Gate:
    names = " and ".join(f"{axis} {' or '.join(allowed)}" for axis, allowed in values.items())
    asks = f"each cell with {names} is green" if names else "each cell is green"
    run = judged.run
    cells = [cell for cell in judged.cells if has_values(cell.cell.axes, values)]
    red = [
        cell for cell in cells if cell.outcome not in GREEN and not excused(cell, judged.comparison)
    ]
    green = sum(cell.outcome in GREEN for cell in cells)
    unsatisfiable = len(cells) - green - len(red)
    evidence = [f"{green} of {len(cells)} cells green"]
    if unsatisfiable:
        evidence.append(f"{unsatisfiable} unsatisfiable")
    evidence += [_cell_words(cell) for cell in red]
    left_out = [
        cell
        for cell in run.unselected
        if cell not in run.unselected_axes or has_values(run.unselected_axes[cell], values)
    ]
    if left_out:
        evidence.append(f"{several(len(left_out), 'cell')} not selected")
    if run.check_filter is not None:
        evidence.append(f"only checks that match {run.check_filter!r} ran")
    outcome = GateOutcome.MET
    if red:
        outcome = GateOutcome.UNMET
    elif left_out or run.check_filter is not None or not green:
        outcome = GateOutcome.UNVERIFIED
    return _gate(REQUIRE, asks, outcome, evidence)


def _cell_words(cell: JudgedCell) -> str:
    return f"{cell.cell.id}: {outcome_words(cell.outcome, cell.reason)}"


def _new_failures(judged: JudgedRun, new: Sequence[Failure]) -> Gate:
    allowed = judged.run.gates.new_failures
    failing = sum(len(cell.failed) for cell in judged.cells)
    evidence = [f"{failing} failing, {len(new)} of them new"]
    evidence += [
        f"{count} also in the baseline" for count in [failing - len(new)] if judged.comparison
    ]
    by_check = Counter(check for _, check in new)
    evidence += [f"{check}: new in {several(count, 'cell')}" for check, count in by_check.items()]
    outcome = GateOutcome.UNMET if len(new) > allowed else GateOutcome.MET
    asks = f"at most {several(allowed, 'new failure')}, not counting known issues"
    return _gate(NEW_FAILURES, asks, outcome, evidence)


def _applicable(judged: JudgedRun) -> Gate | None:
    """Return an unmet gate if most of the default checks do not apply to the subject."""
    checks = [check for cell in judged.cells for check in cell.checks]
    skipped = sum(check.outcome is CheckOutcome.SKIPPED and not check.need for check in checks)
    if 2 * skipped <= len(checks):
        return None
    share = f"{skipped} of {len(checks)} results are skipped checks that do not apply"
    remedy = "name your own (checks: in matrix.yaml, or --checks) or accept these (checks: builtin)"
    evidence = [f"{share} to {judged.run.subject.name}", remedy]
    asks = "most of the built-in checks apply to the subject"
    return _gate(APPLICABLE, asks, GateOutcome.UNMET, evidence)


def _is_about_gpus(judged: JudgedRun) -> bool:
    """Return whether a cell of the run asks for a GPU, or the gate is required."""
    required = judged.run.gates.gpu is Enforcement.REQUIRED
    return required or any(cell.cell.gpu for cell in judged.cells)


def _gpu(judged: JudgedRun) -> Gate:
    served = [
        cell.cell.id
        for cell in judged.cells
        if cell.result
        and cell.result.attestation
        and cell.result.attestation.gpus > 0
        and any(check.outcome in PASSING for check in cell.checks)
    ]
    asked = sum(cell.cell.gpu for cell in judged.cells)
    evidence = [
        f"{len(served)} of {asked} cells that ask for a GPU had one"
        if asked
        else "no cell of the run asks for a GPU"
    ]
    return _gate(
        GPU,
        "a cell ran on a real GPU",
        GateOutcome.MET if served else GateOutcome.UNVERIFIED,
        evidence + served,
        required=judged.run.gates.gpu is Enforcement.REQUIRED,
    )


def _bounds(judged: JudgedRun, axis: str) -> Gate:
    ordered = _in_order(judged.run.axes.get(axis, ()))
    bounds = tuple(dict.fromkeys([*ordered[:1], *ordered[-1:]]))
    found = [_bound(judged, axis, value) for value in bounds]
    outcomes = {outcome for outcome, _ in found}
    outcome = next(
        (one for one in (GateOutcome.UNMET, GateOutcome.UNVERIFIED) if one in outcomes),
        GateOutcome.MET if found else GateOutcome.UNVERIFIED,
    )
    asks = f"the oldest and the newest {axis} ({' and '.join(bounds)}) each have a green cell"
    return _gate(BOUNDS, asks, outcome, [evidence for _, evidence in found])


def _bound(judged: JudgedRun, axis: str, value: str) -> tuple[GateOutcome, str]:
    cells = [cell for cell in judged.cells if cell.cell.axes.get(axis) == value]
    green = sum(cell.outcome in GREEN for cell in cells)
    words = f"{axis} {value}: {green} of {len(cells)} cells green"
    if green:
        return GateOutcome.MET, words
    if not cells:
        return GateOutcome.UNVERIFIED, f"{axis} {value}: no cell was selected"
    if all(cell.outcome is CellOutcome.UNSATISFIABLE for cell in cells):
        return GateOutcome.UNVERIFIED, f"{axis} {value}: every cell is unsatisfiable"
    return GateOutcome.UNMET, words


def _in_order(values: Sequence[str]) -> list[str]:
    """Return values from the oldest to the newest, or as given if they are not versions."""
    try:
        return sorted(values, key=Version)
    except InvalidVersion:
        return list(values)


def _disappeared(judged: JudgedRun) -> Gate:
    allowed = judged.run.gates.disappeared_checks
    asks = f"at most {several(allowed, 'check')} of the baseline may have disappeared"
    comparison = judged.comparison
    if comparison is None:
        return _gate(DISAPPEARED, asks, GateOutcome.UNVERIFIED, ["no baseline"], required=False)
    counts = Counter(_names_disappeared(comparison.cells))
    total = counts.total()
    evidence = [f"{several(total, 'check')} disappeared"]
    evidence += [
        f"{name}: disappeared in {several(count, 'cell')}" for name, count in counts.items()
    ]
    outcome = GateOutcome.UNMET if total > allowed else GateOutcome.MET
    if outcome is GateOutcome.MET and judged.run.check_filter is not None:
        outcome = GateOutcome.UNVERIFIED
        evidence.append(f"only checks that match {judged.run.check_filter!r} ran")
    return _gate(DISAPPEARED, asks, outcome, evidence)


def _names_disappeared(cells: Sequence[CellChange]) -> Iterator[str]:
    for cell in cells:
        checks = [check.check for check in cell.checks if check.change is Change.DISAPPEARED]
        yield from checks
        if cell.change is Change.DISAPPEARED and not checks:
            yield cell.cell


def _subject_version(judged: JudgedRun, wanted: str) -> Gate:
    name = judged.run.subject.name
    counts = version_counts(judged, name)
    most = counts.most_common(1)[0][0] if counts else None
    outcome = GateOutcome.UNMET
    if most is None:
        outcome = GateOutcome.UNVERIFIED
    elif _same(most, wanted):
        outcome = GateOutcome.MET
    evidence = [f"{version} in {several(count, 'cell')}" for version, count in counts.most_common()]
    asks = f"most cells have {name} {wanted}"
    return _gate(SUBJECT_VERSION, asks, outcome, evidence or ["no cell has a lock"])


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other
