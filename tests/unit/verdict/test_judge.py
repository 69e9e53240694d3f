from collections.abc import Mapping, Sequence
from datetime import date

import pytest
from factories import a_cell, a_check, a_lock, a_result, a_run, an_issue, cells

from matrixci.errors import ExitCode
from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    KnownIssue,
    Reason,
    Run,
)
from matrixci.outcomes import FAILING, GREEN
from matrixci.verdict.judge import exit_code, judge, judge_cell
from matrixci.verdict.judged import JudgedCell, JudgedRun, Verdict

TODAY = date(2026, 11, 21)
ONE = a_cell()
TWO = cells(("3.12", "3.13"))
ID = "test_a.py::test_one"


def judged(
    *results: CellResult, problems: Sequence[str] = (), run: Run | None = None, **fields: object
) -> JudgedRun:
    """Judge a run of just these cells."""
    of = run or a_run([result.cell for result in results], **fields)
    return judge(of, {result.cell.id: result for result in results}, problems, TODAY)


NEEDS_GPU = a_check("test_g.py::test_gpu", CheckOutcome.SKIPPED, reason="no GPU", need="gpu")
AS_THE_PIPELINE_HAS_IT: dict[CellOutcome, tuple[Reason | None, list[CheckResult]]] = {
    CellOutcome.PASSED: (None, [a_check()]),
    CellOutcome.PARTIAL: (Reason.MISSING_HARDWARE, [a_check(), NEEDS_GPU]),
    CellOutcome.FAILED: (Reason.CHECKS, [a_check(outcome=CheckOutcome.FAILED)]),
    CellOutcome.UNSATISFIABLE: (Reason.RESOLVER, []),
    CellOutcome.BLOCKED: (Reason.BUILD, []),
    CellOutcome.ERROR: (Reason.ENGINE, []),
    CellOutcome.CANCELLED: (Reason.INTERRUPTED, []),
    CellOutcome.MISSING: (None, []),
}


def of_outcome(outcome: CellOutcome, cell: Cell = ONE) -> CellResult:
    reason, checks = AS_THE_PIPELINE_HAS_IT[outcome]
    return a_result(cell, outcome, checks, reason=reason)


# Cells


@pytest.mark.parametrize(
    ("outcome", "verdict", "code", "reasons"),
    [
        (CellOutcome.PASSED, "READY", ExitCode.READY, []),
        (CellOutcome.PARTIAL, "READY", ExitCode.READY, []),
        (CellOutcome.FAILED, "NOT READY", ExitCode.FAILURES, [f"{ID} fails in py3.13-numpy2-cpu"]),
        (CellOutcome.UNSATISFIABLE, "READY", ExitCode.READY, []),
        (
            CellOutcome.BLOCKED,
            "NOT READY",
            ExitCode.FAILURES,
            ["py3.13-numpy2-cpu: blocked (build)"],
        ),
        (
            CellOutcome.ERROR,
            "NOT READY",
            ExitCode.INFRASTRUCTURE,
            ["py3.13-numpy2-cpu: error (engine)"],
        ),
        (CellOutcome.CANCELLED, "NOT READY", ExitCode.FAILURES, ["py3.13-numpy2-cpu: cancelled"]),
    ],
)
def test_verdict_and_exit_code_for_each_cell_outcome(
    outcome: CellOutcome, verdict: str, code: ExitCode, reasons: list[str]
) -> None:
    run = judged(a_result(TWO[0]), of_outcome(outcome, TWO[1]))
    assert (run.verdict, exit_code(run)) == (verdict, code)
    assert list(run.reasons) == reasons
    assert [cell.outcome for cell in run.cells] == [CellOutcome.PASSED, outcome]


@pytest.mark.parametrize("outcome", CellOutcome)
@pytest.mark.parametrize("other", CellOutcome)
def test_a_run_is_ready_if_a_cell_is_green_and_none_blocks(
    outcome: CellOutcome, other: CellOutcome
) -> None:
    fine = GREEN | {CellOutcome.UNSATISFIABLE}
    ready = {outcome, other} <= fine and bool({outcome, other} & GREEN)
    run = judged(of_outcome(outcome, TWO[0]), of_outcome(other, TWO[1]))
    assert (run.verdict is Verdict.READY) == ready
    assert (exit_code(run) is ExitCode.READY) == ready
    assert bool(run.reasons) == (not ready)


@pytest.mark.parametrize("outcome", CellOutcome)
@pytest.mark.parametrize("other", CellOutcome)
def test_the_exit_code_reports_infrastructure_only_if_no_cell_is_red(
    outcome: CellOutcome, other: CellOutcome
) -> None:
    both = {outcome, other}
    subject = bool(both & {CellOutcome.FAILED, CellOutcome.BLOCKED})
    run = judged(of_outcome(outcome, TWO[0]), of_outcome(other, TWO[1]))
    infrastructure = bool(both & {CellOutcome.ERROR, CellOutcome.MISSING}) and not subject
    assert (exit_code(run) is ExitCode.INFRASTRUCTURE) == infrastructure


def test_a_run_of_only_unsatisfiable_cells_is_not_ready() -> None:
    run = judged(*(of_outcome(CellOutcome.UNSATISFIABLE, cell) for cell in TWO))
    assert run.reasons == ("no check passed, so nothing is verified",)
    assert exit_code(run) is ExitCode.FAILURES


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_cell_without_a_result_is_a_blocker(*, interrupted: bool) -> None:
    run = judge(a_run(TWO, interrupted=interrupted), {TWO[0].id: a_result(TWO[0])}, (), TODAY)
    assert run.verdict is Verdict.NOT_READY
    absent = run.cells[1]
    assert (absent.cell, absent.result, absent.checks) == (TWO[1], None, ())
    if interrupted:
        assert absent.outcome is CellOutcome.CANCELLED
        assert run.reasons == ("py3.13-numpy2-cpu: cancelled",)
    else:
        assert (absent.outcome, absent.reason) == (CellOutcome.MISSING, None)
        assert run.reasons == ("py3.13-numpy2-cpu: missing",)


def test_a_run_without_results_is_not_ready() -> None:
    run = judge(a_run(TWO), {}, (), TODAY)
    assert run.reasons == (
        "py3.12-numpy2-cpu, py3.13-numpy2-cpu: missing",
        "no check passed, so nothing is verified",
    )
    assert exit_code(run) is ExitCode.INFRASTRUCTURE


def test_a_run_without_cells_is_not_ready() -> None:
    assert judge(a_run(()), {}, (), TODAY).verdict is Verdict.NOT_READY


@pytest.mark.parametrize("outcome", CellOutcome)
def test_the_exit_code_of_an_interrupted_run(outcome: CellOutcome) -> None:
    run = judged(of_outcome(outcome), interrupted=True)
    assert exit_code(run) is ExitCode.INTERRUPTED


def test_a_problem_with_the_files_is_a_blocker() -> None:
    run = judged(a_result(), problems=["x.json: is cut off"])
    assert (run.verdict, exit_code(run)) == (Verdict.NOT_READY, ExitCode.FAILURES)
    assert run.reasons == ("x.json: is cut off",)


def test_a_result_of_an_unplanned_cell_is_ignored() -> None:
    results = {cell.id: a_result(cell) for cell in TWO}
    assert [cell.cell for cell in judge(a_run(TWO[:1]), results, (), TODAY).cells] == [TWO[0]]


# Checks


BAD = {
    CheckOutcome.FAILED: True,
    CheckOutcome.CRASHED: True,
    CheckOutcome.TIMED_OUT: True,
    CheckOutcome.FLAKY: True,
    CheckOutcome.MISSING: True,
    CheckOutcome.PASSED: False,
    CheckOutcome.KNOWN_ISSUE: False,
    CheckOutcome.UNEXPECTED_PASS: False,
    CheckOutcome.SKIPPED: False,
}


def test_every_check_outcome_is_covered() -> None:
    assert set(BAD) == set(CheckOutcome)
    assert {outcome for outcome, bad in BAD.items() if bad} == FAILING


@pytest.mark.parametrize("stored", [CellOutcome.PASSED, CellOutcome.PARTIAL, CellOutcome.FAILED])
@pytest.mark.parametrize("reason", [None, Reason.CHECKS, Reason.MISSING_HARDWARE])
@pytest.mark.parametrize("outcome", CheckOutcome)
def test_check_outcomes_decide_over_the_stored_cell_outcome(
    stored: CellOutcome, reason: Reason | None, outcome: CheckOutcome
) -> None:
    result = a_result(ONE, stored, [a_check("a::ok"), a_check(outcome=outcome)], reason=reason)
    run = judged(result)
    assert run.cells[0].outcome is (CellOutcome.FAILED if BAD[outcome] else CellOutcome.PASSED)
    assert (run.verdict is Verdict.READY) == (not BAD[outcome])


@pytest.mark.parametrize("stored", CellOutcome)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_cell_is_green_only_by_its_checks_and_without_another_reason(
    stored: CellOutcome, reason: Reason | None
) -> None:
    for outcome in [None, *CheckOutcome]:
        checks = [] if outcome is None else [a_check(outcome=outcome)]
        (cell,) = judged(a_result(ONE, stored, checks, reason=reason)).cells
        if cell.outcome in GREEN:
            assert stored in {CellOutcome.PASSED, CellOutcome.PARTIAL, CellOutcome.FAILED}
            assert reason in {None, Reason.CHECKS, Reason.MISSING_HARDWARE}
            assert outcome is not None
            assert not BAD[outcome]


@pytest.mark.parametrize("outcome", [None, *CheckOutcome])
def test_a_run_is_ready_only_if_a_check_passed(outcome: CheckOutcome | None) -> None:
    checks = [] if outcome is None else [a_check(outcome=outcome, need=need(outcome))]
    run = judged(a_result(ONE, CellOutcome.PASSED, checks))
    passed = outcome in {CheckOutcome.PASSED, CheckOutcome.UNEXPECTED_PASS}
    assert (run.verdict is Verdict.READY) == passed
    assert (exit_code(run) is ExitCode.READY) == passed


def need(outcome: CheckOutcome) -> str | None:
    return "gpu" if outcome is CheckOutcome.SKIPPED else None


def test_a_run_whose_checks_all_need_a_gpu_is_not_ready() -> None:
    run = judged(a_result(ONE, CellOutcome.PARTIAL, [NEEDS_GPU], reason=Reason.MISSING_HARDWARE))
    assert run.cells[0].outcome is CellOutcome.PARTIAL
    assert run.reasons == ("no check passed, so nothing is verified",)


def test_a_check_that_fails_in_many_cells_is_one_blocker() -> None:
    four = cells(("3.10", "3.11", "3.12", "3.13"))
    failed = a_check(outcome=CheckOutcome.FAILED)
    other = a_check("test_b.py::test_two[x]", CheckOutcome.CRASHED)
    results = [a_result(cell, CellOutcome.FAILED, [failed, other]) for cell in four[:3]]
    results += [a_result(four[3], CellOutcome.FAILED, [other])]
    assert judged(*results).reasons[:2] == (
        "test_a.py::test_one fails in every cell that ran it",
        "test_b.py::test_two[x] fails in every cell",
    )
    results[2] = a_result(four[2], checks=[a_check()])
    assert judged(*results).reasons[0] == (
        "test_a.py::test_one fails in py3.10-numpy2-cpu, py3.11-numpy2-cpu"
    )


@pytest.mark.parametrize(
    "reason", [Reason.OOM, Reason.TIMED_OUT, Reason.EXIT_STATUS, Reason.NOT_AS_DECLARED]
)
def test_another_reason_of_a_cell_is_a_blocker_in_addition_to_its_checks(reason: Reason) -> None:
    checks = [
        a_check("test_a.py::test_bad", CheckOutcome.FAILED),
        *(a_check(f"test_a.py::test_{i}", CheckOutcome.MISSING) for i in range(40)),
    ]
    run = judged(a_result(ONE, CellOutcome.FAILED, checks, reason=reason))
    assert run.reasons[:2] == (
        "test_a.py::test_bad fails in py3.12-numpy2-cpu",
        f"py3.12-numpy2-cpu: failed ({reason})",
    )
    assert len(run.reasons) == 3  # and not one for each check that never ran


def test_a_missing_check_is_never_lost() -> None:
    checks = [a_check(), a_check("test_b.py::test_gone", CheckOutcome.MISSING)]
    run = judged(a_result(ONE, CellOutcome.PASSED, checks))
    assert run.verdict is Verdict.NOT_READY
    assert run.reasons == ("py3.12-numpy2-cpu: failed (checks)",)
    assert "test_b.py::test_gone" in run.cells[0].message


# Known issues


def held(check: CheckResult, *issues: KnownIssue, cell: Cell = ONE) -> CheckResult:
    """Return a check as it is after judgement."""
    judged_cell: JudgedCell = judge_cell(
        a_result(cell, CellOutcome.FAILED, [check], reason=Reason.CHECKS), issues, TODAY
    )
    return judged_cell.checks[0]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (CheckOutcome.FAILED, CheckOutcome.KNOWN_ISSUE, "a/b#1: not fixed yet"),
        (CheckOutcome.CRASHED, CheckOutcome.KNOWN_ISSUE, "a/b#1: not fixed yet"),
        (CheckOutcome.TIMED_OUT, CheckOutcome.KNOWN_ISSUE, "a/b#1: not fixed yet"),
        (CheckOutcome.FLAKY, CheckOutcome.KNOWN_ISSUE, "a/b#1: not fixed yet"),
        (CheckOutcome.PASSED, CheckOutcome.UNEXPECTED_PASS, "known issue a/b#1 no longer holds"),
        (CheckOutcome.MISSING, CheckOutcome.MISSING, "as it was"),
        (CheckOutcome.SKIPPED, CheckOutcome.SKIPPED, "as it was"),
        (CheckOutcome.KNOWN_ISSUE, CheckOutcome.KNOWN_ISSUE, "as it was"),
        (CheckOutcome.UNEXPECTED_PASS, CheckOutcome.UNEXPECTED_PASS, "as it was"),
    ],
)
def test_a_known_issue_excuses_a_failure_and_reports_an_unexpected_pass(
    before: CheckOutcome, after: CheckOutcome, reason: str
) -> None:
    check = held(a_check(outcome=before, reason="as it was"), an_issue())
    assert (check.outcome, check.reason) == (after, reason)


def test_every_check_outcome_is_covered_with_a_known_issue() -> None:
    (mark,) = test_a_known_issue_excuses_a_failure_and_reports_an_unexpected_pass.pytestmark  # type: ignore[attr-defined]
    assert {before for before, _, _ in mark.args[1]} == set(CheckOutcome)


LOCKED = {"transformers": "5.20.2", "torch": "2.15.0+cpu", "huggingface-hub": "1.0rc1"}


def excuses(issue: KnownIssue, name: str = ID) -> bool:
    """Return whether a check that fails becomes a known issue."""
    check = a_check(name, CheckOutcome.FAILED)
    result = a_result(ONE, CellOutcome.FAILED, [check], reason=Reason.CHECKS, lock=a_lock(LOCKED))
    return (
        judged(result, known_issues=(issue,)).cells[0].checks[0].outcome is CheckOutcome.KNOWN_ISSUE
    )


@pytest.mark.parametrize(
    ("name", "pattern", "speaks"),
    [
        (ID, ID, True),
        (ID, "test_a.py::*", True),
        (ID, "*", True),
        (ID, "test_b.py::*", False),
        (ID, "test_a.py::test_on", False),
        (ID, "TEST_A.py::test_one", False),
        (f"{ID}[USE_TF=0]", ID, False),
        (f"{ID}[USE_TF=0]", f"{ID}[USE_TF=0]", True),
        (f"{ID}[USE_TF=0]", f"{ID}[[]USE_TF=0]", False),
        (f"{ID}[USE_TF=0]", f"{ID}[*]", True),
        (f"{ID}[USE_TF=0]", f"{ID}*", True),
        (f"{ID}[USE_TF=0]", f"{ID}[USE_TF=?]", True),
        (f"{ID}[USE_TF=0]", f"{ID}[USE_TF=1]", False),
        ("test_a.py::test_oneU", f"{ID}[USE_TF=0]", False),  # no set of characters
        (f"{ID}[a*b]", f"{ID}[a*b]", True),
        (f"{ID}[a[b]]", f"{ID}[a[b]]", True),
    ],
)
def test_a_known_issue_matches_checks_by_id_or_glob(
    name: str, pattern: str, *, speaks: bool
) -> None:
    assert excuses(an_issue(pattern), name) == speaks


@pytest.mark.parametrize(
    ("where", "speaks"),
    [
        ({}, True),
        ({"numpy": "2.x"}, True),
        ({"numpy": "1.x"}, False),
        ({"numpy": ("1.x", "2.x")}, True),
        ({"numpy": ()}, False),
        ({"numpy": "2.x", "python": "3.12"}, True),
        ({"numpy": "2.x", "python": "3.13"}, False),
        ({"tensorflow": "absent"}, False),
        ({"numpy": "2"}, False),
    ],
)
def test_a_known_issue_applies_in_the_cells_of_its_where(
    where: Mapping[str, object], *, speaks: bool
) -> None:
    assert excuses(an_issue(where=where)) == speaks


@pytest.mark.parametrize(
    ("versions", "speaks"),
    [
        ({}, True),
        ({"transformers": "<5.21"}, True),
        ({"transformers": ">=5.21"}, False),
        ({"torch": "==2.15.0"}, True),
        ({"torch": "==2.15.*"}, True),
        ({"huggingface-hub": "<=1.0"}, True),  # a pre-release counts
        ({"huggingface-hub": ">=1.0"}, False),
        ({"HuggingFace_Hub": "<=1.0"}, True),  # however the name is written
        ({"transformers": "<5.21", "torch": "<2"}, False),
        ({"tensorflow": ">=1"}, False),
    ],
)
def test_a_known_issue_applies_to_its_versions(
    versions: Mapping[str, str], *, speaks: bool
) -> None:
    assert excuses(an_issue(versions=versions)) == speaks


def test_versions_are_taken_from_the_lock_of_the_cell() -> None:
    failed = a_check(outcome=CheckOutcome.FAILED)
    issue = an_issue(versions={"transformers": "<5.21"})
    for locked, outcome in {
        "5.20.2": CheckOutcome.KNOWN_ISSUE,
        "5.21.0": CheckOutcome.FAILED,
    }.items():
        result = a_result(ONE, CellOutcome.FAILED, [failed], lock=a_lock({"transformers": locked}))
        assert judge_cell(result, [issue], TODAY).checks[0].outcome is outcome
    without = a_result(ONE, CellOutcome.FAILED, [failed], lock=None)
    assert judge_cell(without, [issue], TODAY).checks[0].outcome is CheckOutcome.FAILED


@pytest.mark.parametrize(
    ("expires", "outcome"),
    [
        ("2026-11-22", CheckOutcome.KNOWN_ISSUE),
        ("2026-11-21", CheckOutcome.FAILED),  # from this day on it is expected no more
        ("2026-11-20", CheckOutcome.FAILED),
    ],
)
def test_a_known_issue_expires_on_its_day(expires: str, outcome: CheckOutcome) -> None:
    check = held(a_check(outcome=CheckOutcome.FAILED, reason="why"), an_issue(expires=expires))
    assert check.outcome is outcome
    if outcome is CheckOutcome.FAILED:
        assert check.reason == f"why; known issue a/b#1 expired on {expires}"


def test_a_pass_is_unexpected_even_if_the_known_issue_expired() -> None:
    assert held(a_check(), an_issue(expires="2020-01-01")).outcome is CheckOutcome.UNEXPECTED_PASS


def test_the_first_matching_known_issue_applies() -> None:
    issues = [
        an_issue("other", reference="a/b#1"),
        an_issue(reference="a/b#2"),
        an_issue("*", reference="a/b#3"),
    ]
    assert held(a_check(outcome=CheckOutcome.FAILED), *issues).reason.startswith("a/b#2:")


def test_a_cell_whose_failures_are_all_known_is_green() -> None:
    failed = a_check(outcome=CheckOutcome.FAILED)
    result = a_result(ONE, CellOutcome.FAILED, [failed, a_check("b")], reason=Reason.CHECKS)
    run = judged(result, known_issues=(an_issue(),))
    assert (run.cells[0].outcome, run.cells[0].reason) == (CellOutcome.PASSED, None)
    assert (run.verdict, exit_code(run)) == (Verdict.READY, ExitCode.READY)


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.CHECKS, Reason.MISSING_HARDWARE}))
def test_a_known_issue_excuses_no_cell_that_failed_for_another_reason(reason: Reason) -> None:
    failed = a_check(outcome=CheckOutcome.FAILED)
    result = a_result(ONE, CellOutcome.FAILED, [failed], reason=reason)
    run = judged(result, known_issues=(an_issue(),))
    assert (run.cells[0].outcome, run.cells[0].reason) == (CellOutcome.FAILED, reason)
    assert run.reasons[0] == f"py3.12-numpy2-cpu: failed ({reason})"


def test_an_unexpected_pass_is_a_remark_and_does_not_block() -> None:
    run = judged(a_result(), known_issues=(an_issue(),))
    assert run.verdict is Verdict.READY
    assert run.remarks == (
        f"unexpected pass: {ID} (known issue a/b#1 no longer holds); remove it from known-issues",
    )


@pytest.mark.parametrize("pattern", ["test_gone.py::test_x", "test_gone*", f"{ID}[x]"])
def test_a_known_issue_that_matches_no_check_blocks(pattern: str) -> None:
    run = judged(a_result(), known_issues=(an_issue(pattern),))
    assert run.reasons == (f"known issue a/b#1 matches no check: {pattern}",)
    assert exit_code(run) is ExitCode.FAILURES


def test_a_known_issue_may_match_no_check_with_a_check_filter() -> None:
    issue = an_issue("test_gone.py::test_x")
    assert judged(a_result(), known_issues=(issue,), check_filter="one").reasons == ()
    nothing_ran = judged(of_outcome(CellOutcome.BLOCKED), known_issues=(issue,))
    assert not any("matches no check" in reason for reason in nothing_ran.reasons)
    assert not any("known issues" in line for line in nothing_ran.unverified)


def test_known_issues_that_match_no_selected_check_are_unverified() -> None:
    issues = (an_issue("test_gone.py::test_x"), an_issue(ID, reference="a/b#2"))
    failed = a_result(ONE, checks=[a_check(outcome=CheckOutcome.FAILED), a_check("b")])
    note = (
        "whether known issues match a check, because only selected checks ran "
        "(a/b#1: test_gone.py::test_x)"
    )
    assert note in judged(failed, known_issues=issues, check_filter="one").unverified
    assert note not in judged(failed, known_issues=issues[1:], check_filter="one").unverified
    assert note not in judged(failed, known_issues=issues).unverified


def test_an_expired_issue_is_named_in_the_blocker_and_listed() -> None:
    issue = an_issue(expires="2026-11-01", reference="acme/ours#3")
    failed = [a_result(cell, checks=[a_check(outcome=CheckOutcome.FAILED)]) for cell in TWO]
    run = judged(*failed, known_issues=(issue, an_issue("*", reference="acme/ours#4")))
    expired = "known issue acme/ours#3 expired on 2026-11-01"
    where = "py3.12-numpy2-cpu, py3.13-numpy2-cpu"
    assert run.reasons[0] == f"{ID} fails in {where}; {expired}"
    assert (run.blockers[0].check, run.blockers[0].note) == (ID, expired)
    assert [(one.reference, one.expired, one.checks) for one in run.known] == [
        ("acme/ours#3", True, (ID,))
    ]


def test_an_expired_issue_that_matches_only_passing_checks_is_not_listed() -> None:
    assert judged(a_result(), known_issues=(an_issue(expires="2026-11-01"),)).known == ()


def test_failures_marked_with_xfail_are_grouped_by_reason() -> None:
    def expected(name: str, reason: str) -> CheckResult:
        return a_check(name, CheckOutcome.KNOWN_ISSUE, reason=f"xfail: {reason}")

    checks = [expected("a", "needs a rewrite"), expected("b", "no reason given"), a_check("c")]
    results = [a_result(cell, checks=checks) for cell in TWO]
    results[0] = a_result(TWO[0], checks=[*checks, expected("d", "needs a rewrite")])
    run = judged(*results, known_issues=(an_issue("a"),))
    assert [(one.reason, one.checks, len(one.cells)) for one in run.expected] == [
        ("needs a rewrite", ("a", "d"), 2),
        ("no reason given", ("b",), 2),
    ]
    assert run.known == ()  # it excused nothing: the suite itself did
    assert run.verdict is Verdict.READY


# Remarks


def test_unmet_needs_are_listed_once_for_all_cells() -> None:
    slow = a_check("test_s.py::test_slow", CheckOutcome.SKIPPED, reason="too slow here")
    results = [
        a_result(
            cell, CellOutcome.PARTIAL, [a_check(), NEEDS_GPU, slow], reason=Reason.MISSING_HARDWARE
        )
        for cell in TWO
    ]
    assert judged(*results).unverified[0] == "1 check (no GPU)"


@pytest.mark.parametrize(("of", "cells"), [(TWO[:1], "1 cell"), (TWO, "2 cells")])
def test_a_fallback_to_the_default_index_is_a_remark(of: Sequence[Cell], cells: str) -> None:
    results = [a_result(cell, lock=a_lock(fallback=True)) for cell in of]
    (remark,) = judged(*results).remarks
    assert remark == (
        "PyTorch's own index could not be reached (cpu): "
        f"torch of the default index is installed in {cells}"
    )


def test_unselected_cells_and_a_check_filter_are_listed_as_unverified() -> None:
    run = judged(a_result(), unselected=("a", "b"), check_filter="not slow")
    assert run.unverified[:2] == (
        "2 cells of the matrix not selected",
        "only checks that match 'not slow' ran",
    )


def test_instances_that_fail_in_the_same_cells_are_one_blocker() -> None:
    checks = [a_check(f"test_a.py::test_x[{n}]", CheckOutcome.FAILED) for n in range(3)]
    run = judged(a_result(ONE, CellOutcome.FAILED, [*checks, a_check("test_a.py::test_y")]))
    assert run.reasons == (
        "test_a.py::test_x[0] and 2 more of its instances fail in py3.12-numpy2-cpu",
    )
