"""Rule of evidence: whether the results that a container left can be trusted.

A cell without evidence never passes. Its container must have exited with status 0 and left a result
file of this run and cell, in which every check reported and the attested versions are the declared
ones. Pure functions over bytes, independent of the container engine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from matrixci.model import (
    Attestation,
    Cell,
    CheckOutcome,
    CheckResult,
    LockRecord,
    Reason,
    Severity,
)
from matrixci.outcomes import Problem
from matrixci.sandbox import attestation
from matrixci.sandbox.result_file import Attested, Begin, End, Rerun, ResultFile, read
from matrixci.util.redaction import redact

SCHEMA: Final = 1
LISTED: Final = 5  # checks or differences that a message lists; the rest is counted
NAME_CHARACTERS: Final = 200
NOT_RERUN: Final = "not rerun to find out whether it is flaky: the cell's time limit was reached"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The run, the nonce, the cell and the lock that a result must match."""

    run: str
    nonce: str
    cell: Cell
    lock: LockRecord


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How the container ended, according to the engine."""

    status: int | None
    """exit status; None if the container never started, or if the engine does not know"""
    oom_killed: bool = False
    timed_out: bool = False
    """the host stopped it because it exceeded the cell's time limit"""
    silent: bool = False
    """the host stopped it because it printed nothing for too long"""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Readable part of a container's results, and why they are not evidence."""

    attestation: Attestation | None = None
    checks: tuple[CheckResult, ...] = ()
    """in the order of their collection; unfinished ones are missing"""
    problem: Problem | None = None


def examine(raw: bytes | None, expected: Expected, ended: Exit) -> Evidence:
    """Return the results of a container, with the problem if they are not evidence.

    Args:
        raw: content of results.jsonl; None if there is no such file.
        expected: what the result must match.
        ended: how the container ended.
    """
    file = read(raw or b"")
    foreign = _foreign(file, expected)
    problem = (
        _failed_exit(ended, file if foreign is None else ResultFile(), left_file=raw is not None)
        or (None if raw else Problem(Reason.NO_RESULT, _no_result(raw)))
        or foreign
        or _unreadable(file)
        or _incomplete(file)
        or _not_as_declared(file.attested, expected)
    )
    if foreign:
        return Evidence(problem=problem)  # the file says nothing about this cell
    return Evidence(
        attestation=attestation.stored(file.attested),
        checks=tuple(_results(file)),
        problem=problem,
    )


def _failed_exit(ended: Exit, file: ResultFile, *, left_file: bool) -> Problem | None:
    """Return the problem with how the container ended."""
    during = f", during {file.running[:NAME_CHARACTERS]}" if file.running else ""
    if ended.oom_killed:
        return Problem(Reason.OOM, f"The container ran out of memory{during}.")
    if ended.timed_out:
        return Problem(Reason.TIMED_OUT, f"The cell exceeded its time limit{during}.")
    if ended.silent:
        return Problem(Reason.TIMED_OUT, f"The container printed nothing for too long{during}.")
    if ended.status is None:
        message = "The container has no exit status: it never started, or the engine lost it."
        return Problem(Reason.EXIT_STATUS, message)
    if ended.status != 0:
        without = "" if left_file else ", and left no result file"
        return Problem(
            Reason.EXIT_STATUS,
            f"The container exited with status {ended.status}{during}{without}.",
        )
    return None


def _no_result(raw: bytes | None) -> str:
    left = "left no result file" if raw is None else "left an empty result file"
    return f"The container exited with status 0, but {left}."


def _foreign(file: ResultFile, expected: Expected) -> Problem | None:
    """Return the problem if the file belongs to another run, cell or container."""
    if file.header is None:
        return None
    header = (file.header.run, file.header.cell, file.header.nonce)
    if header == (expected.run, expected.cell.id, expected.nonce):
        return None
    if header[:2] == (expected.run, expected.cell.id):
        message = "The result belongs to another container of this cell."
    else:
        message = f"The result belongs to cell {header[1]} of run {header[0]}."
    return Problem(Reason.FOREIGN_RESULT, message)


def _unreadable(file: ResultFile) -> Problem | None:
    """Return the problem if the file is not valid."""
    bad = file.bad
    if bad is None and file.header and file.header.schema_version != SCHEMA:
        bad = f"its schema is {file.header.schema_version}, not {SCHEMA}"
    return Problem(Reason.INVALID_RESULT, f"The result file is not valid: {bad}.") if bad else None


def _incomplete(file: ResultFile) -> Problem | None:
    """Return the problem if checks or the footer are missing."""
    if file.collected is None:
        return Problem(Reason.INCOMPLETE, "The checks were never collected.")
    if not file.collected:
        return Problem(Reason.NO_CHECKS, "No check was collected.")
    missing = [check for check in file.collected if check not in file.ended]
    if missing:
        count = f"{len(missing)} of {len(file.collected)} checks never reported"
        return Problem(Reason.INCOMPLETE, f"{count}: {_listed(missing)}.")
    if file.footer is None:
        return Problem(Reason.INCOMPLETE, "The result file has no footer.")
    return None


def _not_as_declared(attested: Attested | None, expected: Expected) -> Problem | None:
    """Return the problem if the attested versions are not the declared and locked ones."""
    if attested is None:
        message = "The container did not attest its installed versions."
        return Problem(Reason.NOT_AS_DECLARED, message)
    found = attestation.differences(attested, expected.cell, expected.lock)
    if not found:
        return None
    return Problem(
        Reason.NOT_AS_DECLARED,
        f"The installed versions are not the declared ones: {_listed(found, '; ')}.",
    )


def _results(file: ResultFile) -> Iterator[CheckResult]:
    """Yield the result of each collected check; unfinished ones are missing."""
    for name, check in (file.collected or {}).items():
        begin, end, rerun = file.begun.get(name), file.ended.get(name), file.reruns.get(name)
        flaky = rerun is not None and rerun.outcome is CheckOutcome.PASSED
        yield CheckResult(
            id=name,
            claim=check.claim,
            outcome=CheckOutcome.FLAKY if flaky else _outcome(end),
            reason=_reason(begin, end, rerun),
            need=end.need if end else None,
            reference=check.reference,
            severity=Severity(check.severity),
            line=check.line,
            message=redact(end.message) if end else "",
            detail=redact(end.detail) if end else "",
            metrics=end.metrics if end else {},
            began=begin.at if begin else None,
            ended=end.at if end else None,
        )


def _outcome(end: End | None) -> CheckOutcome:
    return CheckOutcome.MISSING if end is None else CheckOutcome(end.outcome)


def _reason(begin: Begin | None, end: End | None, rerun: Rerun | None) -> str:
    """Return the reason for an outcome; empty if it needs none."""
    if end is None:
        return "never ended" if begin else "never started"
    if rerun is not None and rerun.outcome is None:
        return redact("; ".join(filter(None, (end.reason, NOT_RERUN))))
    if rerun is None or rerun.outcome is not CheckOutcome.PASSED:
        return redact(end.reason)
    first = f"{end.outcome} ({end.reason})" if end.reason else end.outcome
    return redact(f"{first}, then passed when run alone")


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    """Return the first names and the number of the others."""
    more = len(names) - LISTED
    shown = [name[:NAME_CHARACTERS] for name in names[:LISTED]]
    return separator.join([*shown, *([f"{more} more"] if more > 0 else [])])
