from collections.abc import Callable

import pytest
from result_records import (
    BEGIN_B,
    COLLECTED,
    END_A,
    END_B,
    END_C,
    FOOTER,
    HEADER,
    MORE,
    Records,
    changed,
    end,
    examined,
    expected,
    outcomes,
    raw,
    records,
    rerun,
    without,
)

from matrixci.model import (
    CellOutcome,
    CheckOutcome,
    Reason,
    Severity,
)
from matrixci.outcomes import cell_outcome
from matrixci.sandbox.evidence import (
    NOT_RERUN,
    Exit,
    examine,
)


def test_line_of_a_check_is_kept() -> None:
    lines = records()
    lines[COLLECTED]["checks"][0]["line"] = 12

    assert [check.line for check in examined(lines).checks] == [12, None, None]


def test_good_file_is_evidence() -> None:
    evidence = examined(records())

    assert evidence.problem is None
    assert outcomes(evidence) == dict.fromkeys("abc", CheckOutcome.PASSED)
    assert evidence.attestation
    assert evidence.attestation.modules == {"numpy": "2.5.5", "torch": "2.15.0+cpu"}
    first = evidence.checks[0]
    assert (first.claim, first.reference, first.metrics) == ("a holds.", "a/b#1", {"seconds": 0.5})
    assert first.began is not None
    assert first.began == first.ended
    assert cell_outcome(evidence.checks, evidence.problem) == (CellOutcome.PASSED, None, "")


def test_severity_of_a_check_is_kept() -> None:
    lines = records()
    lines[COLLECTED]["checks"][1]["severity"] = "warning"
    assert [check.severity for check in examined(lines).checks] == [
        Severity.ERROR,
        Severity.WARNING,
        Severity.ERROR,
    ]


@pytest.mark.parametrize(
    ("ended", "reason", "says"),
    [
        (Exit(status=0, oom_killed=True), Reason.OOM, "out of memory"),
        (Exit(status=137, oom_killed=True), Reason.OOM, "out of memory"),
        (Exit(status=137, timed_out=True), Reason.TIMED_OUT, "exceeded its time limit"),
        (Exit(status=137, silent=True), Reason.TIMED_OUT, "printed nothing for too long"),
        (Exit(status=1), Reason.EXIT_STATUS, "exited with status 1"),
        (Exit(status=None), Reason.EXIT_STATUS, "no exit status"),
    ],
)
def test_failed_exit_is_no_evidence(ended: Exit, reason: Reason, says: str) -> None:
    evidence = examined(records(), ended=ended)

    assert evidence.problem
    assert evidence.problem.reason is reason
    assert says in evidence.problem.message
    assert len(evidence.checks) == 3


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Exit(status=0), Reason.NO_RESULT),
        (Exit(status=127), Reason.EXIT_STATUS),
        (Exit(status=0, oom_killed=True), Reason.OOM),
    ],
)
@pytest.mark.parametrize("nothing", [None, b""])
def test_missing_or_empty_file_is_no_evidence(
    nothing: bytes | None, ended: Exit, reason: Reason
) -> None:
    evidence = examine(nothing, expected(), ended)

    assert evidence.problem
    assert evidence.problem.reason is reason
    assert evidence.checks == ()
    assert evidence.attestation is None


def test_results_before_a_failed_exit_are_kept() -> None:
    broken_off = raw(records()[: BEGIN_B + 1]) + b'{"kind": "end", "at"'

    evidence = examine(broken_off, expected(), Exit(status=137, oom_killed=True))

    assert evidence.problem == (Reason.OOM, "The container ran out of memory, during b.")
    assert [check.outcome for check in evidence.checks] == [
        CheckOutcome.PASSED,
        CheckOutcome.MISSING,
        CheckOutcome.MISSING,
    ]
    assert [check.reason for check in evidence.checks] == ["", "never ended", "never started"]


@pytest.mark.parametrize(
    ("field", "value"), [("nonce", "ffff"), ("run", "run-0"), ("cell", "py3.11-numpy2-cpu")]
)
@pytest.mark.parametrize("ended", [Exit(status=0), Exit(status=1)])
def test_foreign_result_is_ignored(field: str, value: str, ended: Exit) -> None:
    evidence = examined(changed(HEADER, **{field: value})(records()), ended=ended)

    assert evidence.problem
    assert evidence.problem.reason is (
        Reason.EXIT_STATUS if ended.status else Reason.FOREIGN_RESULT
    )
    assert evidence.checks == ()
    assert evidence.attestation is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"nonce": "ffff"}, "The result belongs to another container of this cell."),
        ({"run": "run-0"}, "The result belongs to cell py3.12-numpy2-cpu of run run-0."),
        ({"run": "run-0", "cell": "other"}, "The result belongs to cell other of run run-0."),
    ],
)
def test_foreign_result_is_described(fields: dict[str, str], says: str) -> None:
    evidence = examined(changed(HEADER, **fields)(records()))
    assert evidence.problem == (Reason.FOREIGN_RESULT, says)


def test_foreign_check_is_not_named() -> None:
    lines = changed(HEADER, nonce="ffff")(records())[: BEGIN_B + 1]

    evidence = examined(lines, ended=Exit(status=137))

    assert evidence.problem == (
        Reason.EXIT_STATUS,
        "The container exited with status 137.",
    )


def test_credentials_in_messages_are_redacted() -> None:
    said = "no https://me:secret@a.example/x?token=secret"
    evidence = examined(changed(END_A, message=said, detail=said, reason=said)(records()))
    check = evidence.checks[0]
    shown = "no https://***@a.example/x?token=***"
    assert (check.message, check.detail, check.reason) == (shown, shown, shown)


def test_lone_surrogates_are_dropped_and_control_characters_kept() -> None:
    evidence = examined(changed(END_A, message="a\ud800b \x1b[31m\x00é\U0001f600")(records()))

    assert evidence.problem is None
    assert evidence.checks[0].message == "ab \x1b[31m\x00é\U0001f600"


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (without(*range(COLLECTED, FOOTER)), Reason.INCOMPLETE, "never collected"),
        (without(FOOTER), Reason.INCOMPLETE, "no footer"),
        (without(END_B), Reason.INCOMPLETE, "1 of 3 checks never reported: b."),
        (without(BEGIN_B, END_B, END_C), Reason.INCOMPLETE, "2 of 3 checks never reported: b, c."),
    ],
)
def test_incomplete(change: Callable[[Records], Records], reason: Reason, says: str) -> None:
    lines = change(records())
    if lines[-1]["kind"] == "footer":
        collected = 3 if any(line["kind"] == "collected" for line in lines) else 0
        ended = sum(line["kind"] == "end" for line in lines)
        lines[-1].update(checks=collected, ended=ended)

    evidence = examined(lines)

    assert evidence.problem
    assert evidence.problem.reason is reason
    assert says in evidence.problem.message


def test_check_that_never_ended_is_missing() -> None:
    lines = changed(FOOTER, ended=2)(records())

    evidence = examined(without(END_B)(lines))

    assert outcomes(evidence)["b"] is CheckOutcome.MISSING
    assert evidence.checks[1].began is not None


def test_no_checks() -> None:
    lines = records()
    lines[COLLECTED]["checks"] = []
    lines[FOOTER].update(checks=0, ended=0)

    evidence = examined(without(*range(MORE, FOOTER))(lines))

    assert evidence.problem == (Reason.NO_CHECKS, "No check was collected.")


@pytest.mark.parametrize(
    ("second", "comes_to", "reason"),
    [
        ("passed", CheckOutcome.FLAKY, "failed, then passed when run alone"),
        ("failed", CheckOutcome.FAILED, ""),
        ("timed-out", CheckOutcome.FAILED, ""),
        ("skipped", CheckOutcome.FAILED, ""),
    ],
)
def test_a_check_that_was_run_rerun(second: str, comes_to: CheckOutcome, reason: str) -> None:
    lines = records()
    lines[END_B] = end("b", "failed")
    lines.insert(FOOTER, rerun(second))

    found = examined(lines)

    assert found.problem is None
    check = next(check for check in found.checks if check.id == "b")
    assert (check.outcome, check.reason) == (comes_to, reason)
    # Neither is green: a check that passes now and then shows nothing.
    assert cell_outcome(found.checks, None).outcome is CellOutcome.FAILED


def test_missing_rerun_is_named_in_the_reason() -> None:
    lines = records()
    lines[END_B] = end("b", "failed")
    lines.insert(FOOTER, rerun(None))
    (check,) = (one for one in examined(lines).checks if one.id == "b")

    assert check.outcome is CheckOutcome.FAILED
    assert check.reason.endswith(NOT_RERUN)


def test_expected_failure_of_a_suite_is_a_known_issue() -> None:
    (check, *_) = examined(
        changed(END_A, outcome="known-issue", reason="xfail: later")(records())
    ).checks

    assert (check.outcome, check.reason) == (CheckOutcome.KNOWN_ISSUE, "xfail: later")
