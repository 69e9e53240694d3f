import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.model import (
    Cell,
    CellOutcome,
    CheckOutcome,
    CheckResult,
    LockRecord,
    Need,
    Reason,
    Severity,
)
from matrixci.outcomes import Problem, cell_outcome
from matrixci.sandbox.evidence import (
    NOT_RERUN,
    Evidence,
    Exit,
    Expected,
    examine,
)
from matrixci.sandbox.result_file import FILE_BYTES, LINE_BYTES
from matrixci.util.redaction import redact

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
AT = "2026-11-21T10:00:00+00:00"
Records = list[dict[str, Any]]

CELL = Cell(
    id="py3.12-numpy2-cpu",
    axes={"python": "3.12", "numpy": "2.x", "device": "cpu"},
    python="3.12",
    requires=("numpy>=2", 'tomli; python_version < "3.11"', "Torch"),
    environment={},
    torch_backend="cpu",
    base=None,
    gpu=False,
)
LOCK = LockRecord(
    digest="00",
    file="locks/a.txt",
    versions={"numpy": "2.5.5", "pytest": "9.1.0", "torch": "2.15.0+cpu"},
    torch_backend="cpu",
    fallback=False,
)


def expected(*, cell: dict[str, Any] | None = None, lock: dict[str, Any] | None = None) -> Expected:
    return Expected(
        run="run-1",
        nonce="abcd",
        cell=CELL.model_copy(update=cell or {}),
        lock=LOCK.model_copy(update=lock or {}),
    )


def end(check: str, outcome: str = "passed", **fields: object) -> dict[str, Any]:
    empty = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {"seconds": 0.5}}
    return {"kind": "end", "at": AT, "id": check, "outcome": outcome, **empty, **fields}


def records() -> Records:
    """Return a file in which all is well: a, b and c pass."""
    checks = [
        {"id": name, "claim": f"{name} holds.", "reference": "a/b#1", "severity": "error"}
        for name in ("a", "b", "c")
    ]
    run: Records = []
    for name in ("a", "b", "c"):
        run += [{"kind": "begin", "at": AT, "id": name}, end(name)]
    return [
        {
            "kind": "header",
            "at": AT,
            "schema": 1,
            "nonce": "abcd",
            "run": "run-1",
            "cell": "py3.12-numpy2-cpu",
        },
        {
            "kind": "attestation",
            "at": AT,
            "python": "3.12.1",
            "machine": "x86_64",
            "distributions": dict(LOCK.versions),
            "modules": {"numpy": "2.5.5", "torch": "2.15.0+cpu"},
            "torch_cuda": None,
            "gpus": 0,
        },
        {"kind": "collected", "at": AT, "checks": checks[:2]},
        {"kind": "collected", "at": AT, "checks": checks[2:]},
        *run,
        {"kind": "footer", "at": AT, "checks": 3, "ended": 3},
    ]


HEADER, ATTESTATION, COLLECTED, MORE, BEGIN_A, END_A, BEGIN_B, END_B, BEGIN_C, END_C, FOOTER = (
    range(11)
)


def raw(lines: Records) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def examined(lines: Records, to: Expected | None = None, ended: Exit | None = None) -> Evidence:
    return examine(raw(lines), to or expected(), ended or Exit(status=0))


def outcomes(evidence: Evidence) -> dict[str, CheckOutcome]:
    return {check.id: check.outcome for check in evidence.checks}


def changed(index: int, **fields: object) -> Callable[[Records], Records]:
    def change(lines: Records) -> Records:
        lines[index].update(fields)
        return lines

    return change


def without(*indices: int) -> Callable[[Records], Records]:
    return lambda lines: [line for i, line in enumerate(lines) if i not in indices]


def moved(source: int, target: int) -> Callable[[Records], Records]:
    def move(lines: Records) -> Records:
        lines.insert(target, lines.pop(source))
        return lines

    return move


def repeated(index: int, target: int) -> Callable[[Records], Records]:
    return lambda lines: [*lines[:target], dict(lines[index]), *lines[target:]]


def test_line_of_a_check_is_kept() -> None:
    lines = records()
    lines[COLLECTED]["checks"][0]["line"] = 12

    assert [check.line for check in examined(lines).checks] == [12, None, None]


@pytest.mark.parametrize("line", [0, -1, "12", 1.5, True, 10**12])
def test_line_that_no_file_has_is_no_evidence(line: object) -> None:
    lines = records()
    lines[COLLECTED]["checks"][0]["line"] = line

    problem = examined(lines).problem
    assert problem
    assert problem.reason is Reason.INVALID_RESULT


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


def test_the_severity_of_a_check_is_kept() -> None:
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
def test_container_that_ended_badly(ended: Exit, reason: Reason, says: str) -> None:
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
def test_no_file(nothing: bytes | None, ended: Exit, reason: Reason) -> None:
    evidence = examine(nothing, expected(), ended)

    assert evidence.problem
    assert evidence.problem.reason is reason
    assert evidence.checks == ()
    assert evidence.attestation is None


def test_what_was_known_before_the_end_is_kept() -> None:
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
def test_foreign_result_tells_nothing_of_this_cell(field: str, value: str, ended: Exit) -> None:
    evidence = examined(changed(HEADER, **{field: value})(records()), ended=ended)

    assert evidence.problem
    assert evidence.problem.reason is (
        Reason.EXIT_STATUS if ended.status else Reason.FOREIGN_RESULT
    )
    assert evidence.checks == ()
    assert evidence.attestation is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without(HEADER), "line 1: the first line, and no other, is the header"),
        (repeated(HEADER, 1), "line 2: the first line"),
        (changed(HEADER, schema=2), "schema is 2"),
        (changed(HEADER, schema="1"), "line 1"),
        (changed(HEADER, at="yesterday"), "line 1"),
        (changed(HEADER, at="2026-11-21T10:00:00"), "line 1"),
        (changed(HEADER, cell="x" * 201), "line 1"),
        (changed(HEADER, nonce="x" * 201), "line 1"),
        (changed(HEADER, more=1), "line 1"),
        (moved(ATTESTATION, 3), "the attestation comes once, before the checks"),
        (repeated(ATTESTATION, 2), "the attestation comes once, before the checks"),
        (changed(ATTESTATION, gpus=-1), "line 2"),
        (changed(ATTESTATION, gpus=True), "line 2"),
        (changed(ATTESTATION, python="three"), "line 2"),
        (changed(ATTESTATION, modules={"numpy": 2}), "line 2"),
        (moved(MORE, 5), "line 6: checks are collected before"),
        (changed(COLLECTED, checks=[{"id": "a"}]), "line 3"),
        (
            changed(
                COLLECTED,
                checks=[{"id": "", "claim": "", "reference": None, "severity": "error"}],
            ),
            "line 3",
        ),
        (changed(BEGIN_A, id="z"), "line 5: a check that was not collected"),
        (repeated(BEGIN_A, 5), "line 6: a check that was not collected, or began before"),
        (without(BEGIN_A), "line 5: a check that never began"),
        (repeated(END_A, 6), "line 7: a check that never began, or ended before"),
        (changed(END_A, outcome="missing"), "line 6"),
        (changed(END_A, outcome="flaky"), "line 6"),
        (changed(END_A, outcome="unexpected-pass"), "line 6"),
        (changed(END_A, outcome="green"), "line 6"),
        (changed(END_A, need="time"), "line 6"),
        (changed(END_A, message="x" * 4_001), "line 6"),
        (changed(END_A, detail="x" * 20_001), "line 6"),
        (changed(END_A, metrics={"seconds": float("nan")}), "line 6"),
        (changed(END_A, metrics={"seconds": float("inf")}), "line 6"),
        (changed(END_A, metrics={"seconds": "1"}), "line 6"),
        (changed(END_A, metrics=None), "line 6"),
        (changed(FOOTER, checks=4), "line 11: the footer does not count"),
        (changed(FOOTER, ended=2), "line 11: the footer does not count"),
        (repeated(FOOTER, 11), "line 12: nothing comes after the footer"),
        (repeated(BEGIN_A, 11), "line 12: nothing comes after the footer"),
        (changed(FOOTER, kind="end of file"), "line 11"),
        (changed(END_A, kind=None), "line 6"),
    ],
)
def test_invalid_records(change: Callable[[Records], Records], says: str) -> None:
    evidence = examined(change(records()))

    assert evidence.problem
    assert evidence.problem.reason is Reason.INVALID_RESULT
    assert says in evidence.problem.message


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty line"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"kind": "begin"', id="broken off"),
        pytest.param(b'{"kind": "begin", "at": "\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 60_000, id="deep list"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, id="deep object"),
        pytest.param(b"9" * 5_000, id="many digits"),
        pytest.param(b'{"kind":"footer","at":"' + AT.encode() + b'","checks":1e999}', id="1e999"),
        pytest.param(b'{"kind":"footer","at":NaN}', id="NaN"),
    ],
)
def test_invalid_lines(line: bytes) -> None:
    head = raw(records()[:END_A])

    evidence = examine(head + line + b"\n", expected(), Exit(status=0))

    assert evidence.problem
    assert evidence.problem.reason is Reason.INVALID_RESULT
    assert "line 6: " in evidence.problem.message
    assert len(evidence.problem.message) < 1_000


def test_last_line_breaks_off() -> None:
    evidence = examine(raw(records())[:-1], expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: line 11: it breaks off.",
    )


def test_too_long_a_line() -> None:
    lines = raw(records()).split(b"\n")
    lines[END_A] = lines[END_A].ljust(LINE_BYTES)

    evidence = examine(b"\n".join(lines), expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: line 6: it has more than 65,536 bytes.",
    )


def test_too_large_a_file() -> None:
    evidence = examine(b"\n" * (FILE_BYTES + 1), expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: it has more than 33,554,432 bytes.",
    )


def test_foreign_check_is_not_named() -> None:
    lines = changed(HEADER, nonce="ffff")(records())[: BEGIN_B + 1]

    evidence = examined(lines, ended=Exit(status=137))

    assert evidence.problem == (
        Reason.EXIT_STATUS,
        "The container exited with status 137.",
    )


def test_longest_line_that_is_valid() -> None:
    lines = records()
    lines[END_A]["detail"] = "é" * 20_000  # escaped it would be over the limit
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"

    evidence = examine(text.encode(), expected(), Exit(status=0))

    assert evidence.problem is None


def test_credentials_that_a_check_prints_are_not_kept() -> None:
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


GPU = {"gpu": True, "torch_backend": "cu130"}
CUDA_LOCK = {"torch_backend": "cu130", "versions": LOCK.versions | {"torch": "2.15.0+cu130"}}
CUDA_TOLD = {
    "distributions": CUDA_LOCK["versions"],
    "modules": {"numpy": "2.5.5", "torch": "2.15.0+cu130"},
    "torch_cuda": "13.0",
}
# From the default index: no local part in the lock, one in the module.
FALLBACK_LOCK = {
    "torch_backend": None,
    "fallback": True,
    "versions": LOCK.versions | {"torch": "2.15.0"},
}
FALLBACK_TOLD = {**CUDA_TOLD, "distributions": FALLBACK_LOCK["versions"]}


@pytest.mark.parametrize(
    ("told", "cell", "lock", "says"),
    [
        ({"python": "3.11.9"}, {}, {}, "Python is 3.11.9, not 3.12"),
        ({"python": "3.1.2"}, {}, {}, "Python is 3.1.2, not 3.12"),
        ({"python": "3.120.1"}, {}, {}, "Python is 3.120.1, not 3.12"),
        ({}, {"requires": ("numpy<2",)}, {}, "numpy<2 is declared, 2.5.5 is installed"),
        ({}, {"requires": ("tensorflow",)}, {}, "tensorflow is declared, tensorflow is not"),
        ({"modules": {"numpy": None, "torch": "2.15.0"}}, {}, {}, "numpy 2.5.5 cannot be imported"),
        ({"modules": {"torch": "2.15.0+cpu"}}, {}, {}, "numpy 2.5.5 cannot be imported"),
        (
            {"modules": {"numpy": "1.26.4", "torch": "2.15.0+cpu"}},
            {},
            {},
            "numpy 2.5.5 is installed, 1.26.4 is imported",
        ),
        (
            {"modules": {"numpy": "2.5.5", "torch": "2.15.0+cu130"}},
            {},
            {},
            "torch 2.15.0+cpu is installed, 2.15.0+cu130 is imported",
        ),
        ({"modules": {"numpy": "2.5.5", "torch": None}}, {}, {}, "cannot be imported"),
        ({}, {}, {"versions": LOCK.versions | {"six": "1"}}, "six 1 is locked, but not installed"),
        (
            {"distributions": LOCK.versions | {"pip": "25"}},
            {},
            {},
            "pip 25 is installed, but not locked",
        ),
        (
            {"distributions": LOCK.versions | {"pytest": "8.4.0"}},
            {},
            {},
            "pytest 9.1.0 is locked, 8.4.0 is installed",
        ),
        (
            {"distributions": LOCK.versions | {"pytest": "unknown"}},
            {},
            {},
            "pytest 9.1.0 is locked, unknown is installed",
        ),
        (
            {"distributions": LOCK.versions | {"numpy": "unknown"}},
            {},
            {},
            "numpy>=2 is declared, unknown is installed",
        ),
        ({"torch_cuda": "13.0"}, {}, {}, "torch's backend is cpu, torch is built for CUDA 13.0"),
        ({}, {"gpu": True}, {}, "the cell requests a GPU, but torch is built without CUDA"),
        ({**FALLBACK_TOLD, "torch_cuda": None}, {"gpu": True}, FALLBACK_LOCK, "without CUDA"),
        (
            {**CUDA_TOLD, "torch_cuda": "12.8"},
            GPU,
            CUDA_LOCK,
            "torch's backend is cu130, torch is built for CUDA 12.8",
        ),
    ],
)
def test_not_as_declared(
    told: dict[str, Any], cell: dict[str, Any], lock: dict[str, Any], says: str
) -> None:
    evidence = examined(changed(ATTESTATION, **told)(records()), expected(cell=cell, lock=lock))

    assert evidence.problem
    assert evidence.problem.reason is Reason.NOT_AS_DECLARED
    assert says in evidence.problem.message
    assert len(evidence.checks) == 3


@pytest.mark.parametrize(
    ("told", "cell", "lock"),
    [
        pytest.param(CUDA_TOLD, GPU, CUDA_LOCK, id="CUDA"),
        pytest.param(FALLBACK_TOLD, {}, FALLBACK_LOCK, id="cpu from the default index"),
        pytest.param(FALLBACK_TOLD, {"gpu": True}, FALLBACK_LOCK, id="GPU, default index"),
        pytest.param({"torch_cuda": "13.0"}, {}, {"fallback": True}, id="cpu build out of reach"),
        pytest.param({"python": "3.12.0rc1+"}, {}, {}, id="release candidate"),
        pytest.param(
            {"distributions": LOCK.versions | {"pytest": "9.1"}}, {}, {}, id="equal versions"
        ),
        pytest.param(
            {"distributions": {}, "modules": {}},
            {"requires": (), "gpu": True},
            {"versions": {}},
            id="no torch",
        ),
        pytest.param(
            {
                "distributions": LOCK.versions | {"numpy": "2.6.0rc1"},
                "modules": {"numpy": "2.6.0rc1", "torch": "2.15.0+cpu"},
            },
            {},
            {"versions": LOCK.versions | {"numpy": "2.6.0rc1"}},
            id="pre-release",
        ),
    ],
)
def test_as_declared(told: dict[str, Any], cell: dict[str, Any], lock: dict[str, Any]) -> None:
    evidence = examined(changed(ATTESTATION, **told)(records()), expected(cell=cell, lock=lock))

    assert evidence.problem is None


def test_nothing_attested() -> None:
    evidence = examined(without(ATTESTATION)(records()))

    assert evidence.problem
    assert evidence.problem.reason is Reason.NOT_AS_DECLARED
    assert evidence.attestation is None


def test_many_differences_are_counted() -> None:
    more = {f"package-{number}": "1" for number in range(9)}

    evidence = examined(records(), expected(lock={"versions": LOCK.versions | more}))

    assert evidence.problem
    assert evidence.problem.message.endswith("package-4 1 is locked, but not installed; 4 more.")


@pytest.mark.parametrize(
    ("found", "outcome", "reason", "says"),
    [
        (["passed", "passed"], CellOutcome.PASSED, None, ""),
        (["passed", "known-issue", "unexpected-pass"], CellOutcome.PASSED, None, ""),
        (["known-issue"], CellOutcome.PASSED, None, ""),
        (["passed", "skipped"], CellOutcome.PASSED, None, ""),
        (
            ["passed", "gpu", "gpu"],
            CellOutcome.PARTIAL,
            Reason.MISSING_HARDWARE,
            "2 need a GPU, of 3 checks",
        ),
        (["gpu"], CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, "1 need a GPU, of 1 checks"),
        (["passed", "failed"], CellOutcome.FAILED, Reason.CHECKS, "1 failed of 2: 1"),
        (["crashed", "passed"], CellOutcome.FAILED, Reason.CHECKS, "1 crashed of 2: 0"),
        (["timed-out"], CellOutcome.FAILED, Reason.CHECKS, "1 timed-out of 1: 0"),
        (["missing", "gpu"], CellOutcome.FAILED, Reason.CHECKS, "1 missing of 2: 0"),
        (["flaky", "passed"], CellOutcome.FAILED, Reason.CHECKS, "1 flaky of 2: 0"),
        (["failed", "missing", "failed"], CellOutcome.FAILED, Reason.CHECKS, "2 failed, 1 missing"),
        (
            ["failed"] * 7,
            CellOutcome.FAILED,
            Reason.CHECKS,
            "7 failed of 7: 0, 1, 2, 3, 4 and 2",
        ),
        (["skipped", "skipped"], CellOutcome.FAILED, Reason.NO_CHECKS, "All 2 checks were skipped"),
        ([], CellOutcome.FAILED, Reason.NO_CHECKS, "No check was collected"),
    ],
)
def test_cell_outcome(
    found: list[str], outcome: CellOutcome, reason: Reason | None, says: str
) -> None:
    checks = [
        CheckResult(
            id=str(number),
            claim="",
            outcome=CheckOutcome.SKIPPED if word == "gpu" else CheckOutcome(word),
            need=Need.GPU if word == "gpu" else None,
        )
        for number, word in enumerate(found)
    ]

    verdict = cell_outcome(checks, None)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert says in verdict.message


@pytest.mark.parametrize("outcome", ["failed", "crashed", "timed-out", "flaky"])
def test_a_failing_check_that_only_warns_is_told_in_a_green_cell(outcome: str) -> None:
    warned = CheckResult(id="a", claim="", outcome=CheckOutcome(outcome), severity=Severity.WARNING)
    passed = CheckResult(id="b", claim="", outcome=CheckOutcome.PASSED)

    assert cell_outcome([warned, passed], None) == (CellOutcome.PASSED, None, "1 warning: a")


def test_problem_wins() -> None:
    check = CheckResult(id="a", claim="", outcome=CheckOutcome.FAILED)

    verdict = cell_outcome([check], Problem(Reason.OOM, "Out of memory."))

    assert verdict == (CellOutcome.FAILED, Reason.OOM, "Out of memory.")


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    evidence = examine(data, expected(), Exit(status=0))

    assert evidence.problem


@given(st.integers(0, len(raw(records())) - 1), st.binary(min_size=0, max_size=3))
def test_no_damage_raises_or_makes_checks_up(at: int, data: bytes) -> None:
    whole = raw(records())

    evidence = examine(whole[:at] + data + whole[at + 1 :], expected(), Exit(status=0))

    assert evidence.problem or len(evidence.checks) == 3


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ENDS = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["passed", "failed", "skipped", "crashed", "timed-out"]),
        "reason": TEXT,
        "message": TEXT,
        "detail": TEXT,
        "metrics": st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False)),
    }
)


def told(ends: dict[str, dict[str, Any]]) -> Records:
    """Return a file in which checks came to this."""
    checks = [
        {"id": name, "claim": f"{name} holds.", "reference": None, "severity": "error"}
        for name in ends
    ]
    each: Records = []
    for name, fields in ends.items():
        each += [{"kind": "begin", "at": AT, "id": name}, end(name, **fields)]
    collected = {"kind": "collected", "at": AT, "checks": checks}
    footer = {"kind": "footer", "at": AT, "checks": len(ends), "ended": len(ends)}
    return [*records()[:COLLECTED], collected, *each, footer]


@QUICK
@given(st.dictionaries(TEXT.filter(bool), ENDS, min_size=1, max_size=4))
def test_what_a_file_tells_is_read_as_it_was_told(ends: dict[str, dict[str, Any]]) -> None:
    evidence = examined(told(ends))

    assert evidence.problem is None
    assert [check.id for check in evidence.checks] == list(ends)
    for check in evidence.checks:
        said = ends[check.id]
        assert check.outcome == said["outcome"]
        assert check.metrics == said["metrics"]
        for name in ("reason", "message", "detail"):
            assert getattr(check, name) == redact(said[name])


@QUICK
@given(st.dictionaries(TEXT.filter(bool), ENDS, min_size=1, max_size=4), st.data())
def test_a_file_that_breaks_off_is_no_evidence_and_says_no_more_than_it_tells(
    ends: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    whole = raw(told(ends))
    broken = whole[: data.draw(st.integers(0, len(whole) - 1))]

    evidence = examine(broken, expected(), Exit(status=0))

    assert evidence.problem
    assert cell_outcome(evidence.checks, evidence.problem).outcome is CellOutcome.FAILED
    for check in evidence.checks:
        assert check.outcome in {CheckOutcome.MISSING, ends[check.id]["outcome"]}
        assert check.outcome is CheckOutcome.MISSING or f'"{check.outcome}"'.encode() in broken


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.integers(0, FOOTER), st.sampled_from(["id", "at", "kind", "checks", "metrics"]), JSON)
def test_no_value_raises(index: int, key: str, value: object) -> None:
    examined(changed(index, **{key: value})(records()))


def again(outcome: str | None, check: str = "b") -> dict[str, Any]:
    return {"kind": "again", "at": AT, "id": check, "outcome": outcome}


@pytest.mark.parametrize(
    ("second", "comes_to", "reason"),
    [
        ("passed", CheckOutcome.FLAKY, "failed, then passed when run alone"),
        ("failed", CheckOutcome.FAILED, ""),
        ("timed-out", CheckOutcome.FAILED, ""),
        ("skipped", CheckOutcome.FAILED, ""),
    ],
)
def test_a_check_that_was_run_again(second: str, comes_to: CheckOutcome, reason: str) -> None:
    lines = records()
    lines[END_B] = end("b", "failed")
    lines.insert(FOOTER, again(second))

    found = examined(lines)

    assert found.problem is None
    check = next(check for check in found.checks if check.id == "b")
    assert (check.outcome, check.reason) == (comes_to, reason)
    # Neither is green: a check that passes now and then shows nothing.
    assert cell_outcome(found.checks, None).outcome is CellOutcome.FAILED


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([again("passed", "a")], id="it had passed"),
        pytest.param([again("passed", "z")], id="it was never run"),
        pytest.param([again("passed"), again("failed")], id="twice"),
        pytest.param([again("flaky")], id="an outcome that is the host's to give"),
    ],
)
def test_a_second_run_that_cannot_be(lines: Records) -> None:
    file = records()
    file[END_B] = end("b", "failed")
    file[FOOTER:FOOTER] = lines

    found = examined(file)

    assert found.problem is not None
    assert found.problem.reason is Reason.INVALID_RESULT


def test_a_check_that_no_time_was_left_for_says_so() -> None:
    lines = records()
    lines[END_B] = end("b", "failed")
    lines.insert(FOOTER, again(None))
    (check,) = (one for one in examined(lines).checks if one.id == "b")

    assert check.outcome is CheckOutcome.FAILED
    assert check.reason.endswith(NOT_RERUN)


def test_what_a_suite_expects_to_fail_is_known() -> None:
    (check, *_) = examined(
        changed(END_A, outcome="known-issue", reason="xfail: later")(records())
    ).checks

    assert (check.outcome, check.reason) == (CheckOutcome.KNOWN_ISSUE, "xfail: later")
