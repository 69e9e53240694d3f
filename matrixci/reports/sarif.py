"""SARIF 2.1.0: a rule for each check, and a result for each group of failures."""

import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from matrixci.model import CellOutcome, CheckOutcome, Run
from matrixci.reports.escape import cut, json_text, visible, visible_lines
from matrixci.reports.grouping import (
    CellGroup,
    CheckGroup,
    failures,
    known_failures,
    other_cells,
    warnings,
)
from matrixci.reports.locations import Location, cell_location, check_location, matrix_location
from matrixci.reports.report import Report
from matrixci.util.text import several
from matrixci.verdict.judged import JudgedCell, JudgedRun, Verdict
from matrixci.verdict.reproduce_command import of_check

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_MOST: Final = 5000  # the maximum that viewers accept
_TEXT: Final = 1000
_NAMED: Final = 50

Object = dict[str, Any]


def render(report: Report) -> str:
    """Return the document."""
    judged = report.judged
    found = list(_results(judged))
    results = found[:_MOST]
    rules = {result["ruleId"]: result.pop("rule") for result in found}
    shown = {result["ruleId"] for result in results}
    run: Object = {
        "tool": {
            "driver": {
                "name": "matrixci",
                "version": visible(judged.run.matrixci),
                "rules": [rule for name, rule in rules.items() if name in shown],
            }
        },
        "automationDetails": {"id": f"matrixci/{visible(judged.run.id)}"},
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": _notes(judged, len(found))}
        ],
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"


def _notes(judged: JudgedRun, found: int) -> list[Object]:
    texts = [str(judged.verdict), *judged.unverified[:_NAMED]]
    if (more := found - _MOST) > 0:
        texts.append(f"The JSON report lists {more} more results")
    return [{"level": "note", "message": {"text": visible(cut(text, _TEXT))}} for text in texts]


def _results(judged: JudgedRun) -> Iterator[Object]:
    if judged.verdict is Verdict.NOT_READY:
        yield _of_verdict(judged)
    for group in failures(judged):
        yield _of_check(judged.run, group, "error")
    for group in warnings(judged):
        yield _of_check(judged.run, group, "warning")
    for group in known_failures(judged):
        result = _of_check(judged.run, group, "warning")
        justification = visible(cut(group.check.reason, _TEXT))
        result["suppressions"] = [{"kind": "external", "justification": justification}]
        yield result
    for cells in other_cells(judged):
        if cells.outcome is not CellOutcome.UNSATISFIABLE:
            yield _of_cells(judged.run, cells)


def _of_verdict(judged: JudgedRun) -> Object:
    rule: Object = {"id": "verdict", "shortDescription": {"text": "The release is not ready."}}
    lines = [visible(cut(reason, _TEXT)) for reason in judged.reasons[:_NAMED]]
    text = "\n".join([str(judged.verdict), *lines])
    return _result(rule, "error", text, matrix_location(judged.run), "verdict")


def _of_check(run: Run, group: CheckGroup, level: str) -> Object:
    check = group.check
    lines = [
        f"{_title(check.claim or check.id)}: {check.outcome} in {_cells(group.cells)}",
        *visible_lines(cut(check.reason, _TEXT)),
        *visible_lines(cut(check.message, _TEXT)),
        *_reproduce(of_check(group.cells[0].reproduce, check.id)),
    ]
    rule_id = visible(cut(check.id, _TEXT))
    rule: Object = {"id": rule_id, "shortDescription": {"text": visible(check.claim) or rule_id}}
    if check.reference:
        rule["help"] = {"text": visible(check.reference)}
    kind = "flaky" if check.outcome is CheckOutcome.FLAKY else "fails"
    where = check_location(run, check)
    return _result(rule, level, "\n".join(lines), where, f"{kind}:{check.id}")


def _title(claim: str) -> str:
    """Return a claim without its final punctuation, so that text can follow."""
    return visible(claim).rstrip(" .:;,")


def _of_cells(run: Run, group: CellGroup) -> Object:
    rule_id = f"cell/{group.outcome}" + (f"/{group.reason}" if group.reason else "")
    lines = [
        f"{group.outcome}: {_cells(group.cells)}",
        *visible_lines(cut(group.message, _TEXT)),
        *_reproduce(group.cells[0].reproduce),
    ]
    text = "\n".join(lines)
    rule: Object = {
        "id": rule_id,
        "shortDescription": {"text": f"A cell has the outcome {group.outcome}."},
    }
    where = cell_location(run, group.cells[0])
    return _result(rule, "error", text, where, f"{rule_id}:{_cells(group.cells)}")


def _reproduce(command: Sequence[str]) -> list[str]:
    return [visible(f"reproduce: {shlex.join(command)}")] if command else []


def _result(rule: Object, level: str, text: str, where: Location, fingerprint: str) -> Object:
    return {
        "ruleId": rule["id"],
        "rule": rule,
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(where.path), "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": where.line or 1},  # required by GitHub
                }
            }
        ],
        "partialFingerprints": {"check/v1": visible(cut(fingerprint, _TEXT))},
    }


def _cells(cells: Sequence[JudgedCell]) -> str:
    named = ", ".join(visible(cell.cell.id) for cell in islice(cells, _NAMED))
    more = len(cells) - _NAMED
    return f"{several(len(cells), 'cell')}: {named}" + (f" and {more} more" if more > 0 else "")
