import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_records import (
    AT,
    ATTESTATION,
    BEGIN_A,
    COLLECTED,
    END_A,
    END_B,
    FOOTER,
    HEADER,
    MORE,
    Records,
    changed,
    end,
    examined,
    expected,
    moved,
    raw,
    records,
    repeated,
    rerun,
    without,
)

from matrixci.model import (
    CellOutcome,
    CheckOutcome,
    Reason,
)
from matrixci.outcomes import cell_outcome
from matrixci.sandbox.evidence import (
    Exit,
    examine,
)
from matrixci.sandbox.result_file import FILE_BYTES, LINE_BYTES
from matrixci.util.redaction import redact

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("line", [0, -1, "12", 1.5, True, 10**12])
def test_invalid_line_number_is_no_evidence(line: object) -> None:
    lines = records()
    lines[COLLECTED]["checks"][0]["line"] = line

    problem = examined(lines).problem
    assert problem
    assert problem.reason is Reason.INVALID_RESULT


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without(HEADER), "line 1: the header must be the first line"),
        (repeated(HEADER, 1), "line 2: the header must be the first line, and only the first"),
        (changed(HEADER, schema=2), "schema is 2"),
        (changed(HEADER, schema="1"), "line 1"),
        (changed(HEADER, at="yesterday"), "line 1"),
        (changed(HEADER, at="2026-11-21T10:00:00"), "line 1"),
        (changed(HEADER, cell="x" * 201), "line 1"),
        (changed(HEADER, nonce="x" * 201), "line 1"),
        (changed(HEADER, more=1), "line 1"),
        (moved(ATTESTATION, 3), "the attestation must come once, before the checks"),
        (repeated(ATTESTATION, 2), "the attestation must come once, before the checks"),
        (changed(ATTESTATION, gpus=-1), "line 2"),
        (changed(ATTESTATION, gpus=True), "line 2"),
        (changed(ATTESTATION, python="three"), "line 2"),
        (changed(ATTESTATION, modules={"numpy": 2}), "line 2"),
        (moved(MORE, 5), "line 6: a check was collected after"),
        (changed(COLLECTED, checks=[{"id": "a"}]), "line 3"),
        (
            changed(
                COLLECTED,
                checks=[{"id": "", "claim": "", "reference": None, "severity": "error"}],
            ),
            "line 3",
        ),
        (changed(BEGIN_A, id="z"), "line 5: a check started that was not collected"),
        (repeated(BEGIN_A, 5), "line 6: a check started that was not collected or has already"),
        (without(BEGIN_A), "line 5: a check ended that never started"),
        (repeated(END_A, 6), "line 7: a check ended that never started or has already ended"),
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
        (changed(FOOTER, checks=4), "line 11: the counts of the footer are wrong"),
        (changed(FOOTER, ended=2), "line 11: the counts of the footer are wrong"),
        (repeated(FOOTER, 11), "line 12: there is a line after the footer"),
        (repeated(BEGIN_A, 11), "line 12: there is a line after the footer"),
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
        pytest.param(b'{"kind": "begin"', id="incomplete"),
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


def test_incomplete_last_line() -> None:
    evidence = examine(raw(records())[:-1], expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: line 11: it is incomplete.",
    )


def test_line_that_is_too_long() -> None:
    lines = raw(records()).split(b"\n")
    lines[END_A] = lines[END_A].ljust(LINE_BYTES)

    evidence = examine(b"\n".join(lines), expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: line 6: it is longer than 65,536 bytes.",
    )


def test_file_that_is_too_large() -> None:
    evidence = examine(b"\n" * (FILE_BYTES + 1), expected(), Exit(status=0))

    assert evidence.problem == (
        Reason.INVALID_RESULT,
        "The result file is not valid: it is larger than 33,554,432 bytes.",
    )


def test_longest_valid_line() -> None:
    lines = records()
    lines[END_A]["detail"] = "é" * 20_000  # escaped it would be over the limit
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"

    evidence = examine(text.encode(), expected(), Exit(status=0))

    assert evidence.problem is None


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([rerun("passed", "a")], id="it had passed"),
        pytest.param([rerun("passed", "z")], id="it was never run"),
        pytest.param([rerun("passed"), rerun("failed")], id="twice"),
        pytest.param([rerun("flaky")], id="an outcome that is the host's to give"),
    ],
)
def test_invalid_reruns(lines: Records) -> None:
    file = records()
    file[END_B] = end("b", "failed")
    file[FOOTER:FOOTER] = lines

    found = examined(file)

    assert found.problem is not None
    assert found.problem.reason is Reason.INVALID_RESULT


@given(st.binary())
def test_no_bytes_raise_an_exception(data: bytes) -> None:
    evidence = examine(data, expected(), Exit(status=0))

    assert evidence.problem


@given(st.integers(0, len(raw(records())) - 1), st.binary(min_size=0, max_size=3))
def test_damage_neither_raises_nor_invents_checks(at: int, data: bytes) -> None:
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


def file_with(ends: dict[str, dict[str, Any]]) -> Records:
    """Return the records of a file with these results."""
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
def test_all_values_are_read_back(ends: dict[str, dict[str, Any]]) -> None:
    evidence = examined(file_with(ends))

    assert evidence.problem is None
    assert [check.id for check in evidence.checks] == list(ends)
    for check in evidence.checks:
        sent = ends[check.id]
        assert check.outcome == sent["outcome"]
        assert check.metrics == sent["metrics"]
        for name in ("reason", "message", "detail"):
            assert getattr(check, name) == redact(sent[name])


@QUICK
@given(st.dictionaries(TEXT.filter(bool), ENDS, min_size=1, max_size=4), st.data())
def test_truncated_file_is_no_evidence(
    ends: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    whole = raw(file_with(ends))
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
def test_no_value_raises_an_exception(index: int, key: str, value: object) -> None:
    examined(changed(index, **{key: value})(records()))
