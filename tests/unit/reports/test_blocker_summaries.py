"""Tests of the summaries of blockers."""

from collections.abc import Sequence
from datetime import date

import pytest
from factories import a_check, a_lock, a_result, a_run, an_issue, cells
from stored_runs import printed

from matrixci.history.streaks import Red
from matrixci.model import CellOutcome, CheckOutcome, CheckResult, Reason
from matrixci.reports import markdown, terminal
from matrixci.reports.blocker_summaries import BlockerSummary, blocker_summaries
from matrixci.reports.page import html
from matrixci.reports.report import Report
from matrixci.verdict.judge import JudgeOptions, judge
from matrixci.verdict.judged import JudgedRun, Verdict

FOUR = cells(("3.10", "3.11", "3.12", "3.13"))
ID = "test_stack.py::test_reshape"
CLAIM = "Our loaders set the shape of an array in place."
SAYS = "DeprecationWarning: Setting the shape\n  is deprecated"
FAILS = a_check(ID, CheckOutcome.FAILED, claim=CLAIM, message=SAYS)
PASSES = a_check(ID, claim=CLAIM)


def judged(
    *of_cells: CheckResult,
    numpy: Sequence[str] = ("2.5.0",) * 4,
    scipy: str = "1.15",
    before: JudgedRun | None = None,
    **of: object,
) -> JudgedRun:
    """Return a judged run with one check and one release of NumPy in each cell."""
    locks = [{"transformers": "5", "scipy": scipy, "numpy": release} for release in numpy]
    results = {
        cell.id: a_result(cell, checks=[check], lock=a_lock(lock))
        for cell, check, lock in zip(FOUR, of_cells, locks, strict=False)
    }
    run = a_run(FOUR[: len(of_cells)], **of)
    return judge(run, results, (), date(2026, 11, 21), JudgeOptions(baseline=before))


def first(run: JudgedRun, red: Red | None = None) -> BlockerSummary:
    reds = {run.blockers[0].text: red} if red else {}
    return blocker_summaries(Report(judged=run, folder="", reds=reds))[0]


def test_blocker_has_claim_message_and_cells() -> None:
    summary = first(judged(FAILS, PASSES, FAILS))
    assert (summary.title, summary.outcome, summary.check) == (CLAIM, CheckOutcome.FAILED, ID)
    assert summary.message == "DeprecationWarning: Setting the shape"
    assert summary.where == "2 of 3 cells: py3.10-numpy2-cpu, py3.12-numpy2-cpu"
    assert (summary.facts, summary.packages) == ((), "")
    assert summary.line == (
        "Our loaders set the shape of an array in place: failed in "
        "2 of 3 cells: py3.10-numpy2-cpu, py3.12-numpy2-cpu · DeprecationWarning: Setting the shape"
    )


def test_many_cells_are_counted_instead_of_listed() -> None:
    assert first(judged(FAILS, FAILS, FAILS, FAILS)).where == "4 of 4 cells"


@pytest.mark.parametrize(
    ("red", "words"),
    [
        (
            Red(since="2026-07-15", last_green="2026-06-01"),
            "red since 2026-07-15, last green 2026-06-01",
        ),
        (Red(since=None, last_green="2026-06-01"), "red since this run, last green 2026-06-01"),
        (Red(since="2026-07-15", last_green=None), "red since 2026-07-15, no green run is known"),
    ],
)
def test_blocker_says_since_when_it_is_red(red: Red, words: str) -> None:
    assert first(judged(FAILS, PASSES), red).facts == (words,)


def test_packages_changed_since_the_baseline_are_named() -> None:
    old = ["2.4.6", "2.4.6"]
    before = judged(PASSES, PASSES, numpy=old, scipy="1.14")
    suspect = first(judged(FAILS, PASSES, numpy=["2.5.0", "2.4.6"], before=before))
    assert suspect.packages == ("changed since the baseline, in no green cell: numpy 2.4.6 → 2.5.0")
    none = first(judged(FAILS, PASSES, before=before))
    assert none.packages == (
        "changed since the baseline, also in green cells: numpy 2.4.6 → 2.5.0, scipy 1.14 → 1.15"
    )
    assert first(judged(FAILS, PASSES, numpy=old, scipy="1.14", before=before)).packages == ""
    failed_before = judged(FAILS, PASSES, numpy=old, scipy="1.14")
    assert first(judged(FAILS, PASSES, before=failed_before)).packages == ""


def test_expired_known_issue_is_named() -> None:
    issue = an_issue(ID, expires="2026-11-01")
    summary = first(judged(FAILS, PASSES, known_issues=(issue,)))
    assert summary.facts == ("known issue a/b#1 expired on 2026-11-01",)
    assert summary.message == "DeprecationWarning: Setting the shape"


@pytest.mark.parametrize(
    ("message", "reason", "shown"),
    [
        ("expected: bf16\nseen: no\nmore", "", "expected: bf16; seen: no"),
        ("\n  boom\n", "", "boom"),
        ("x" * 400, "", f"{'x' * 300}… (100 more characters)"),
        ("", "SIGSEGV", "SIGSEGV"),
        ("", "", None),
    ],
)
def test_first_line_of_a_message_is_shown(message: str, reason: str, shown: str | None) -> None:
    check = a_check(ID, CheckOutcome.CRASHED, message=message, reason=reason)
    assert first(judged(check, PASSES)).message == shown


def test_instances_of_a_check_are_counted() -> None:
    run = a_run(FOUR[:1])
    checks = [a_check(f"{ID}[{n}]", CheckOutcome.FAILED, claim=CLAIM) for n in range(3)]
    result = a_result(FOUR[0], checks=[*checks, a_check("a")])
    summary = first(judge(run, {FOUR[0].id: result}, (), date(2026, 11, 21)))
    assert summary.title == f"{CLAIM} (3 instances)"


def test_blocker_without_a_check_keeps_its_text() -> None:
    run = a_run(FOUR[:2])
    blocked = a_result(FOUR[1], CellOutcome.BLOCKED, reason=Reason.BUILD)
    results = {FOUR[0].id: a_result(FOUR[0]), FOUR[1].id: blocked}
    summary = first(
        judge(run, results, (), date(2026, 11, 21)), Red(since="2026-07-15", last_green=None)
    )
    assert summary.line == (
        "py3.11-numpy2-cpu: blocked (build) · red since 2026-07-15, no green run is known"
    )


def test_reasons_are_used_for_a_report_without_blockers() -> None:
    old = judged(PASSES).model_copy(
        update={"verdict": Verdict.NOT_READY, "reasons": ("an old report",), "blockers": ()}
    )
    assert [summary.line for summary in blocker_summaries(Report(judged=old, folder=""))] == [
        "an old report"
    ]


def test_each_format_starts_with_the_blockers() -> None:
    run = judged(FAILS, PASSES)
    reds = {run.blockers[0].text: Red(since="2026-07-15", last_green="2026-06-01")}
    report = Report(judged=run, folder="", reds=reds)
    page = html.render(report)
    assert page.startswith("<!doctype html>")
    opening = page[page.index("<h2>Blockers</h2>") : page.index('id="unverified"')]
    summary = markdown.render(report).partition("## Cells")[0].replace("\\-", "-")
    shown = printed(terminal.render_readiness(report), 400).partition("device")[0]
    for text in (opening, summary, shown):
        assert "Our loaders set the shape of an array in place" in text
        assert "DeprecationWarning: Setting the shape" in text
        assert "1 of 2 cells" in text
        assert "red since 2026-07-15, last green 2026-06-01" in text
