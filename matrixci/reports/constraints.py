"""Known-good constraints: the lock of a green cell, with a header that says what was verified."""

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrixci.errors import NotGreenError, UsageError
from matrixci.locks.lock import Lock, Pin, closure
from matrixci.locks.wheel_build import file_name
from matrixci.model import Cell, CheckOutcome, CheckResult, Subject
from matrixci.outcomes import GREEN, PASSING, is_warning
from matrixci.runs.lock_file import read_lock
from matrixci.util.text import did_you_mean, in_line, listed, several
from matrixci.verdict.judged import JudgedCell, JudgedRun
from matrixci.verdict.unenforced import unenforced_in

_RULE: Final = "#" + "-" * 78


def constraints(
    judged: JudgedRun, folder: Path, pattern: str, *, hashes: bool = False
) -> dict[str, str]:
    """Return the constraints files of the green cells that match a pattern, by cell id.

    Cells that are not green are left out, as long as at least one matching cell is green.

    Args:
        judged: the judged run.
        folder: the run's folder, which contains the locks.
        pattern: a cell's id, or a glob over the ids.
        hashes: write a requirements file with hashes. pip refuses such a file as constraints if
            it has to install anything else.

    Raises:
        UsageError: no cell matches the pattern.
        NotGreenError: no matching cell is green.
        RunFilesError: a lock cannot be read, or was modified.
    """
    cells = [cell for cell in judged.cells if fnmatchcase(cell.cell.id, pattern)]
    if not cells:
        ids = [cell.cell.id for cell in judged.cells]
        msg = f"No cell of run {judged.run.id} matches {pattern}; {did_you_mean(pattern, ids)}"
        raise UsageError(msg)
    green = [cell for cell in cells if is_green(cell)]
    if not green:
        raise NotGreenError(_refusal(judged, cells))
    return {cell.cell.id: _file(judged, cell, folder, hashes=hashes) for cell in green}


def is_green(cell: JudgedCell) -> bool:
    """Return whether a cell is green and has a lock."""
    return cell.outcome in GREEN and cell.result is not None and cell.result.lock is not None


def _refusal(judged: JudgedRun, cells: Iterable[JudgedCell]) -> str:
    lines = []
    for cell in cells:
        why = cell.message.splitlines()[0] if cell.message else str(cell.reason or "no reason")
        lines.append(
            f"No known-good constraints for {cell.cell.id}: the cell is {cell.outcome}: {why}"
        )
    others = [cell.cell.id for cell in judged.cells if is_green(cell)]
    green = f"Green cells: {listed(others)}" if others else "No cell of the run is green."
    return "\n".join([*lines, green])


def _file(judged: JudgedRun, cell: JudgedCell, folder: Path, *, hashes: bool) -> str:
    result = cell.result
    if result is None or result.lock is None:
        msg = f"{cell.cell.id} has no lock."
        raise NotGreenError(msg)
    lock = read_lock(folder, result.lock, judged.run)
    # Values may come from a container. A line end in one must not start a new requirement.
    pins = _stack(lock, judged.run.subject, cell.cell)
    lines = [*_header(judged, cell, pins), *_usage(cell.cell.id, hashes=hashes)]
    head = "".join(f"# {in_line(line)}".rstrip() + "\n" for line in lines)
    # Only pins are written, so the file contains no index, option or credential.
    body = "".join(_lines(pin, hashes=hashes) for pin in pins)
    return f"{_RULE}\n{head}{_RULE}\n{body}"


def _lines(pin: Pin, *, hashes: bool) -> str:
    """Return the lines of a pin, with a comment if its wheel was built from source."""
    comment = f"# {pin.name} is built from {in_line(pin.source)}\n" if pin.source else ""
    return f"{comment}{pin.line() if hashes else pin.requirement}\n"


def _stack(lock: Lock, subject: Subject, cell: Cell) -> tuple[Pin, ...]:
    """Return the pins that the subject and the cell's requirements need.

    The other pins are needed by the test harness only.
    """
    roots = {subject.name, *(Requirement(text).name for text in cell.requires)}
    needed = closure(lock.pins, {canonicalize_name(name) for name in roots})
    return tuple(pin for pin in lock.pins if pin.name in needed)


def _usage(cell: str, *, hashes: bool) -> Iterable[str]:
    file = f"{cell}.txt"
    yield ""
    if hashes:
        yield f"use:          pip install --require-hashes -r {file}"
    else:
        yield f"use:          pip install -c {file} PACKAGE"


def _header(judged: JudgedRun, cell: JudgedCell, pins: Iterable[Pin]) -> Iterable[str]:
    run, result = judged.run, cell.result
    versions = result.lock.versions if result and result.lock else {}
    name = run.subject.name
    yield f"Known-good constraints for {name} {versions.get(name, '(not in the lock)')}"
    yield ""
    yield f"verified for: {', '.join(f'{axis} {value}' for axis, value in cell.cell.axes.items())}"
    attested = result.attestation if result else None
    if attested is not None:
        yield f"ran on:       Python {attested.python}, {attested.machine}"
    yield f"checks:       {_counts(cell)}"
    for check in cell.checks:
        if check.outcome is CheckOutcome.KNOWN_ISSUE:
            yield f"known issue:  {check.id}: {check.reason}"
        elif is_warning(check):
            yield f"warning:      {check.id} failed"
    for line in _unverified(judged, cell):
        yield f"NOT verified: {line}"
    yield f"cell:         {cell.cell.id}"
    yield f"run:          {run.id}, {run.began:%Y-%m-%d}" + (
        f", as of {run.as_of}" if run.as_of else ""
    )
    if result and result.reused_from:
        yield f"results from: run {result.reused_from}, with the same lock and checks"
    yield f"made by:      matrixci {run.matrixci}, {run.resolver}"
    yield from _remarks(cell, pins)


def _counts(cell: JudgedCell) -> str:
    count = Counter(check.outcome for check in cell.checks)
    passed = sum(count[outcome] for outcome in PASSING)
    others = (
        (sum(map(is_warning, cell.checks)), "failed (severity warning)"),
        (count[CheckOutcome.KNOWN_ISSUE], "failed (known issue)"),
        (count[CheckOutcome.SKIPPED], "skipped"),
    )
    words = [f"{number} {word}" for number, word in others if number]
    return ", ".join([f"{passed} of {len(cell.checks)} passed", *words])


def _unverified(judged: JudgedRun, cell: JudgedCell) -> Iterable[str]:
    skipped = [check for check in cell.checks if check.outcome is CheckOutcome.SKIPPED]
    reasons = Counter(_why(check) for check in skipped)
    for reason, number in reasons.items():
        yield f"{several(number, 'check')} ({reason})"
    if unenforced := unenforced_in(judged.run, cell):
        yield f"limits on {', '.join(unenforced)}, which the engine did not enforce"
    if not _gpu_was_there(cell):
        yield "anything on a GPU" + (" (the engine had none)" if cell.cell.gpu else "")
    if judged.run.check_filter is not None:
        yield f"checks that do not match {judged.run.check_filter!r}"


def _why(check: CheckResult) -> str:
    return check.reason or (f"needs a {check.need}" if check.need else "no reason given")


def _gpu_was_there(cell: JudgedCell) -> bool:
    attested = cell.result.attestation if cell.result else None
    return cell.cell.gpu and attested is not None and attested.gpus > 0


def _remarks(cell: JudgedCell, pins: Iterable[Pin]) -> Iterable[str]:
    lock = cell.result.lock if cell.result else None
    if lock is not None and lock.torch_backend is not None:
        yield f"torch is the {lock.torch_backend} build from PyTorch's index: add that index,"
        yield f"or use uv with --torch-backend {lock.torch_backend}"
    for pin in pins:
        if pin.url is not None:
            yield f"{pin.name} is the local wheel {file_name(pin.url)}:"
            yield "pass its directory with --find-links"


def needs_several(cell_pattern: str, cells: Iterable[Cell]) -> bool:
    """Return whether a pattern is not the id of a cell, and may match several."""
    return not any(cell.id == cell_pattern for cell in cells)
