"""Whether what a container left behind is evidence, and what the cell came to.

No evidence is never a pass: a cell counts only if its container ended well and left a result file
of this run and this cell, in which every check reported and the container attests that what was
declared is what is installed. Pure functions over bytes; no container engine is known here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

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
from matrixci.sandbox.result_file import Again, Attested, Begin, End, ResultFile, read
from matrixci.util.redaction import redact

SCHEMA: Final = 1
NAMED: Final = 5  # checks, or differences, that a message names before it only counts
NAME_CHARACTERS: Final = 200

# A backend that pins torch's build: cu130 is CUDA 13.0.
CUDA_BACKEND: Final = re.compile(r"cu(\d+)")

# The imported module tells of what the distribution's metadata can't: a build of another NumPy.
MODULES: Final = ("numpy", "torch")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the container was told, and what must be in it."""

    run: str
    nonce: str
    cell: Cell
    lock: LockRecord


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How the container ended, as the engine has it."""

    status: int | None
    """exit status; None where the container never started, or the engine doesn't know"""
    oom_killed: bool = False
    timed_out: bool = False
    """the host stopped it because the cell's time was over"""
    silent: bool = False
    """the host stopped it because it printed nothing for too long"""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the container left, as far as it can be read."""

    attestation: Attestation | None = None
    checks: tuple[CheckResult, ...] = ()
    """in the order of their collection; those that never ended are missing"""
    problem: Problem | None = None


def examine(raw: bytes | None, expected: Expected, ended: Exit) -> Evidence:
    """Return what a container left behind, and why it is no evidence, if it is none.

    Args:
        raw: the bytes of results.jsonl; None where there is no such file.
        expected: what this run told the container.
        ended: how the container ended.
    """
    file = read(raw or b"")
    foreign = _foreign(file, expected)
    problem = (
        _ended_badly(ended, file if foreign is None else ResultFile(), left_file=raw is not None)
        or (None if raw else Problem(Reason.NO_RESULT, _no_result(raw)))
        or foreign
        or _unreadable(file)
        or _incomplete(file)
        or _not_as_declared(file.attested, expected)
    )
    if foreign:
        return Evidence(problem=problem)  # nothing in it is about this cell
    return Evidence(
        attestation=_attestation(file.attested),
        checks=tuple(_results(file)),
        problem=problem,
    )


def _ended_badly(ended: Exit, file: ResultFile, *, left_file: bool) -> Problem | None:
    """Return what the engine says against the container."""
    during = f", during {file.under_way[:NAME_CHARACTERS]}" if file.under_way else ""
    if ended.oom_killed:
        message = f"The container ran out of memory{during}."
        return Problem(Reason.OOM, message)
    if ended.timed_out:
        return Problem(Reason.TIMED_OUT, f"The cell's time was over{during}.")
    if ended.silent:
        return Problem(Reason.TIMED_OUT, f"The container printed nothing for too long{during}.")
    if ended.status is None:
        return Problem(Reason.EXIT_STATUS, "The container has no exit status: it never ended well.")
    if ended.status != 0:
        without = "" if left_file else ", and left no result file"
        return Problem(
            Reason.EXIT_STATUS,
            f"The container ended with exit status {ended.status}{during}{without}.",
        )
    return None


def _no_result(raw: bytes | None) -> str:
    left = "left no result file" if raw is None else "left an empty result file"
    return f"The container ended with exit status 0, but {left}."


def _foreign(file: ResultFile, expected: Expected) -> Problem | None:
    """Return whose result this is, if it is not this run's and this cell's."""
    if file.header is None:
        return None
    told = (file.header.run, file.header.cell, file.header.nonce)
    if told == (expected.run, expected.cell.id, expected.nonce):
        return None
    if told[:2] == (expected.run, expected.cell.id):
        message = "The result is of another start of this cell."
    else:
        message = f"The result is of cell {told[1]} of run {told[0]}, not of this cell and run."
    return Problem(Reason.FOREIGN_RESULT, message)


def _unreadable(file: ResultFile) -> Problem | None:
    """Return what is wrong with the file itself."""
    bad = file.bad
    if bad is None and file.header and file.header.schema_version != SCHEMA:
        bad = f"its schema is {file.header.schema_version}, not {SCHEMA}"
    return Problem(Reason.INVALID_RESULT, f"The result file is not valid: {bad}.") if bad else None


def _incomplete(file: ResultFile) -> Problem | None:
    """Return what was not reported."""
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


def _not_as_declared(told: Attested | None, expected: Expected) -> Problem | None:
    """Return how what is installed differs from what the cell declares."""
    if told is None:
        return Problem(Reason.NOT_AS_DECLARED, "The container did not attest what is installed.")
    differences = [
        *_python_differences(told, expected.cell),
        *_requirement_differences(told, expected.cell),
        *_module_differences(told),
        *_torch_differences(told, expected),
        *_lock_differences(told.distributions, expected.lock.versions),
    ]
    if not differences:
        return None
    return Problem(
        Reason.NOT_AS_DECLARED,
        f"What is installed is not what was declared: {_listed(differences, '; ')}.",
    )


def _python_differences(told: Attested, cell: Cell) -> Iterator[str]:
    minor = ".".join(told.python.split(".")[:2])
    if minor != cell.python:
        yield f"Python is {told.python}, not {cell.python}"


def _requirement_differences(told: Attested, cell: Cell) -> Iterator[str]:
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": told.machine,
        "platform_system": "Linux",
        "python_full_version": told.python,
        "python_version": cell.python,
        "sys_platform": "linux",
    }
    for requires in cell.requires:
        requirement = Requirement(requires)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        installed = told.distributions.get(canonicalize_name(requirement.name))
        if installed is None:
            yield f"{requires} is declared, {requirement.name} is not installed"
            continue
        version = _version(installed)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"{requires} is declared, {installed} is installed"


def _module_differences(told: Attested) -> Iterator[str]:
    for module in MODULES:
        installed = told.distributions.get(module)
        if installed is None:
            continue
        imported = told.modules.get(module)
        if imported is None:
            yield f"{module} {installed} can't be imported"
        elif not _same_build(installed, imported):
            yield f"{module} {installed} is installed, {imported} is imported"


def _torch_differences(told: Attested, expected: Expected) -> Iterator[str]:
    lock, cuda = expected.lock, told.torch_cuda
    if "torch" not in lock.versions or told.modules.get("torch") is None:
        return  # not asked for; or told already
    if expected.cell.gpu and cuda is None:
        yield "the cell asks for a GPU, torch is built without CUDA"
    if lock.fallback or lock.torch_backend is None:
        return
    pinned = CUDA_BACKEND.fullmatch(lock.torch_backend)
    if lock.torch_backend == "cpu" and cuda is not None:
        yield f"torch's backend is cpu, torch is built for CUDA {cuda}"
    elif pinned and (cuda or "").replace(".", "") != pinned[1]:
        yield f"torch's backend is {lock.torch_backend}, torch is built for CUDA {cuda or 'none'}"


def _lock_differences(installed: Mapping[str, str], locked: Mapping[str, str]) -> Iterator[str]:
    for name, version in locked.items():
        if name not in installed:
            yield f"{name} {version} is locked, but not installed"
        elif not _same_version(installed[name], version):
            yield f"{name} {version} is locked, {installed[name]} is installed"
    for name in sorted(installed.keys() - locked.keys()):
        yield f"{name} {installed[name]} is installed, but not locked"


def _same_version(one: str, other: str) -> bool:
    versions = _version(one), _version(other)
    return one == other if None in versions else versions[0] == versions[1]


def _same_build(distribution: str, module: str) -> bool:
    """Tell whether a module is its distribution's; one may leave out its local part (+cu130)."""
    installed, imported = _version(distribution), _version(module)
    if installed is None or imported is None:
        return distribution == module
    if installed.local and imported.local:
        return installed == imported
    return Version(installed.public) == Version(imported.public)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _attestation(line: Attested | None) -> Attestation | None:
    if line is None:
        return None
    return Attestation(
        python=line.python,
        machine=line.machine,
        distributions=line.distributions,
        modules=line.modules,
        torch_cuda=line.torch_cuda,
        gpus=line.gpus,
    )


def _results(file: ResultFile) -> Iterator[CheckResult]:
    """Return the result of each collected check, missing where it never ended."""
    for name, check in (file.collected or {}).items():
        begin, end, again = file.begun.get(name), file.ended.get(name), file.again.get(name)
        flaky = again is not None and again.outcome is CheckOutcome.PASSED
        yield CheckResult(
            id=name,
            claim=check.claim,
            outcome=CheckOutcome.FLAKY if flaky else _outcome(end),
            reason=_reason(begin, end, again),
            need=end.need if end else None,
            reference=check.reference,
            severity=Severity(check.severity),
            line=check.line,
            message=redact(end.message) if end else "",
            detail=redact(end.detail) if end else "",
            figures=end.figures if end else {},
            began=begin.at if begin else None,
            ended=end.at if end else None,
        )


NOT_RUN_AGAIN: Final = "not run once more to tell whether it is flaky: the cell's time was over"


def _outcome(end: End | None) -> CheckOutcome:
    """Return what a check came to, missing where it never ended."""
    return CheckOutcome.MISSING if end is None else CheckOutcome(end.outcome)


def _reason(begin: Begin | None, end: End | None, again: Again | None) -> str:
    """Say why a check came to what it did, where that needs words."""
    if end is None:
        return "never ended" if begin else "never began"
    if again is not None and again.outcome is None:
        return redact("; ".join(filter(None, (end.reason, NOT_RUN_AGAIN))))
    if again is None or again.outcome is not CheckOutcome.PASSED:
        return redact(end.reason)
    first = f"{end.outcome} ({end.reason})" if end.reason else end.outcome
    return redact(f"{first}, then passed when run alone")


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    """Return the first of the names, and how many more there are."""
    more = len(names) - NAMED
    named = [name[:NAME_CHARACTERS] for name in names[:NAMED]]
    return separator.join([*named, *([f"{more} more"] if more > 0 else [])])
