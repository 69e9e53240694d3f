"""JUnit XML: a suite for each cell, a case for each check.

Only elements that the schemas of Jenkins and of Surefire share are used. They have no warnings, no
known issues and no flaky tests. A warning and a known issue are written as skipped, with the
reason, and a flaky check as failed.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from typing import assert_never

from matrixci.model import CellOutcome, CheckOutcome, CheckResult
from matrixci.outcomes import FROM_CHECKS, GREEN, is_warning
from matrixci.reports.escape import xml, xml_lines
from matrixci.reports.grouping import is_explained_by_checks
from matrixci.reports.report import Report
from matrixci.verdict.judged import GateOutcome, JudgedCell, JudgedRun, Verdict
from matrixci.verdict.reproduce_command import of_check

_NO_CHECK = "(cell)"


@dataclass(frozen=True, kw_only=True)
class _Suite:
    """A test suite, with its cases as XML."""

    name: str
    cases: Sequence[str]
    """cases that may have failed; they are counted by their elements"""
    passed: Sequence[str] = ()
    seconds: float = 0
    properties: Sequence[tuple[str, str]] = ()


def chunks(report: Report) -> Iterator[str]:
    """Yield the document in pieces, since a large run has hundreds of thousands of cases."""
    judged = report.judged
    stamp = f"{judged.run.began.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="{xml(judged.run.subject.name)}">\n'
    yield _gates(judged, stamp)
    attributes = cache(_attributes)
    for cell in judged.cells:
        yield _suite(cell, stamp, attributes)
    yield "</testsuites>\n"


def render(report: Report) -> str:
    """Return the document."""
    return "".join(chunks(report))


def _gates(judged: JudgedRun, stamp: str) -> str:
    begin = '    <testcase name="verdict" classname="gates" time="0"'
    verdict = f"{begin}/>\n"
    if judged.verdict is Verdict.NOT_READY:
        # Viewers show a skipped case as green, and unverified gates are skipped, so fail this case.
        reasons = "\n".join(judged.reasons)
        verdict = f"{begin}>{_element('failure', judged.verdict, str(judged.verdict), reasons)}"
    cases = [verdict]
    for gate in judged.gates:
        evidence = "\n".join(gate.evidence)
        case = f'    <testcase name="{xml(f"{gate.name}: {gate.asks}")}" classname="gates" time="0"'
        match gate.outcome:
            case GateOutcome.MET:
                cases.append(f"{case}/>\n")
            case GateOutcome.UNMET if gate.required:
                cases.append(f"{case}>{_element('failure', 'unmet', gate.asks, evidence)}")
            case GateOutcome.UNMET | GateOutcome.UNVERIFIED:
                cases.append(f"{case}>{_skipped(f'{gate.outcome}: {evidence}')}")
            case _ as never:
                assert_never(never)
    return _suite_element(_Suite(name="gates", cases=cases), stamp)


def _suite(cell: JudgedCell, stamp: str, attributes: Callable[[str], str]) -> str:
    prefix = f'    <testcase classname="{xml(cell.cell.id.replace(".", "_"))}.'
    cases = [_of_cell(cell, prefix)] if _needs_case(cell) else []
    passed = []
    seconds = 0.0
    for check in cell.checks:
        took = 0.0
        if check.began is not None and check.ended is not None:
            took = max(0.0, (check.ended - check.began).total_seconds())
            seconds += took
        begin = f'{prefix}{attributes(check.id)}{took:.3f}"'
        if check.outcome is CheckOutcome.PASSED:
            passed.append(f"{begin}/>\n")
        else:
            cases.append(f"{begin}{_rest(check, cell.reproduce)}")
    suite = _Suite(
        name=cell.cell.id,
        cases=cases,
        passed=passed,
        seconds=seconds,
        properties=(*cell.cell.axes.items(), ("outcome", str(cell.outcome))),
    )
    return _suite_element(suite, stamp)


def _suite_element(suite: _Suite, stamp: str) -> str:
    cases = suite.cases
    count = {
        kind: sum(f"<{tag}" in case for case in cases)
        for kind, tag in (("failures", "failure "), ("errors", "error "), ("skipped", "skipped "))
    }
    outcomes = " ".join(f'{kind}="{number}"' for kind, number in count.items())
    properties = "".join(
        f'      <property name="{xml(key)}" value="{xml(value)}"/>\n'
        for key, value in suite.properties
    )
    header = f"    <properties>\n{properties}    </properties>\n" if properties else ""
    total = f'tests="{len(cases) + len(suite.passed)}" {outcomes} time="{suite.seconds:.3f}"'
    return (
        f'  <testsuite name="{xml(suite.name)}" {total} timestamp="{stamp}">\n'
        f"{header}{''.join(cases)}{''.join(suite.passed)}  </testsuite>\n"
    )


def _attributes(check_id: str) -> str:
    """Return the attributes of a case from the rest of its class name up to its time."""
    path, _, name = check_id.partition("::")
    module = path.removesuffix(".py").replace("/", ".")
    return f'{xml(module)}" name="{xml(name or path)}" time="'


def _needs_case(cell: JudgedCell) -> bool:
    if cell.outcome in GREEN:
        return not cell.checks
    return cell.outcome not in FROM_CHECKS or not is_explained_by_checks(cell)


def _of_cell(cell: JudgedCell, prefix: str) -> str:
    """Return the case of a cell whose outcome no check explains."""
    begin = f'{prefix}cell" name="{_NO_CHECK}" time="0">'
    if cell.outcome is CellOutcome.UNSATISFIABLE:
        return f"{begin}{_skipped(f'unsatisfiable: {cell.message}')}"
    kind = f"{cell.outcome}:{cell.reason}" if cell.reason else str(cell.outcome)
    return f"{begin}{_element('error', kind, cell.message, _text(cell.message, cell.reproduce))}"


def _rest(check: CheckResult, command: Sequence[str]) -> str:
    """Return the rest of a check's case after its attributes."""
    evidence = _text(_evidence(check), of_check(command, check.id))
    if is_warning(check):
        return f">{_skipped(f'warning, {check.outcome}: {_first(check)}', evidence)}"
    return f">{_result(check, evidence)}"


def _result(check: CheckResult, evidence: str) -> str:
    """Return the element for the outcome of a check, and the end of its case."""
    match check.outcome:
        case CheckOutcome.PASSED:
            return "</testcase>\n"
        case CheckOutcome.UNEXPECTED_PASS:
            return f"<system-out>{xml_lines(check.reason)}</system-out></testcase>\n"
        case CheckOutcome.FAILED | CheckOutcome.FLAKY:
            return _element("failure", check.outcome, _first(check), evidence)
        case CheckOutcome.CRASHED | CheckOutcome.TIMED_OUT | CheckOutcome.MISSING:
            return _element("error", check.outcome, _first(check), evidence)
        case CheckOutcome.KNOWN_ISSUE:
            return _skipped(f"known issue {check.reason}", evidence)
        case CheckOutcome.SKIPPED:
            return _skipped(check.reason)
        case _ as never:
            assert_never(never)


def _first(check: CheckResult) -> str:
    return check.reason or check.message.partition("\n")[0] or check.claim


def _evidence(check: CheckResult) -> str:
    # Jenkins' schema has no attribute for the line.
    place = f"{check.id.partition('::')[0]}:{check.line}" if check.line else ""
    parts = (check.claim, place, check.reason, check.message, check.detail)
    return "\n".join(part for part in parts if part)


def _text(evidence: str, command: Sequence[str]) -> str:
    """Return the evidence, followed by the command that reproduces it."""
    return f"{evidence}\nreproduce: {shlex.join(command)}" if command else evidence


def _element(tag: str, kind: str, message: str, text: str) -> str:
    return (
        f'\n      <{tag} type="{xml(kind)}" message="{xml(message)}">{xml_lines(text)}</{tag}>\n'
        "    </testcase>\n"
    )


def _skipped(message: str, text: str = "") -> str:
    output = f"\n      <system-out>{xml_lines(text)}</system-out>" if text else ""
    return f'\n      <skipped message="{xml(message)}"/>{output}\n    </testcase>\n'
