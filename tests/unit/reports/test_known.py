"""Tests of the table of known issues in each format."""

from collections.abc import Callable
from datetime import date

import pytest
from factories import a_check, a_result, a_run, an_issue
from stored_runs import printed

from matrixci.model import CheckOutcome
from matrixci.reports import markdown, terminal
from matrixci.reports.page import html
from matrixci.reports.report import Report
from matrixci.verdict.judge import judge

FORMS: dict[str, Callable[[Report], str]] = {
    "html": html.render,
    "markdown": markdown.render,
    "readiness": lambda report: printed(terminal.render_readiness(report), 200),
    "matrix": lambda report: printed(terminal.render(report), 200),
}


def known_report() -> Report:
    issues = (
        an_issue("test_b*", reference="known-b", reason="b is old"),
        an_issue("test_a*", reference="known-a", reason="a is old", expires="2026-11-01"),
    )
    run = a_run(known_issues=issues)
    checks = (
        a_check("test_a.py::test_one", CheckOutcome.FAILED),
        a_check("test_b.py::test_one", CheckOutcome.FAILED),
        a_check(
            "test_c.py::test_one", CheckOutcome.KNOWN_ISSUE, reason="xfail: waits for a rewrite"
        ),
    )
    result = a_result(run.cells[0], checks=checks)
    judged = judge(run, {run.cells[0].id: result}, (), date(2026, 11, 21))
    return Report(judged=judged, folder="")


@pytest.mark.parametrize("form", FORMS)
def test_known_issues_are_listed_with_expired_and_xfail(form: str) -> None:
    text = FORMS[form](known_report()).replace("\\-", "-")
    table = text[max(0, text.index("xfail in the suite") - 1500) :]
    for part in (
        "a is old",
        "2026-11-01, expired",
        "no longer 1 check in 1 cell",
        "b is old",
        "2027-06-30, in 221 days",
        "xfail in the suite",
        "waits for a rewrite",
    ):
        assert part in table
    assert "known issue known-a expired on 2026-11-01" in text
