"""What a cell comes to, whatever happens in its container; nothing but a pass is green."""

import pytest

from matrixci.judge import Verdict
from matrixci.model import CellOutcome, Need, Reason

from .toy import PYTHON, Ran, Toy, checks_of

BESIDE = """
def test_before():
    pass

def test_wrong():
    import ctypes, os, signal, subprocess, sys, time
    {body}

def test_after():
    pass
"""


def beside(body: str) -> dict[str, str]:
    """Return checks of which the middle one does something."""
    return {"test_toy.py": BESIDE.format(body=body)}


def test_two_passing_cells_are_ready(first_run: Ran) -> None:
    passed = (CellOutcome.PASSED, None)
    assert first_run.outcomes == {"plain": passed, "other": passed}
    assert first_run.exit_code == 0
    assert first_run.judged is not None
    assert first_run.judged.verdict is Verdict.READY
    for cell in first_run.cells.values():
        assert checks_of(cell) == {"test_answers": "passed"}
        assert cell.checks[0].claim == "The toy knows the answer."
        assert cell.attestation is not None
        assert cell.attestation.python.startswith(f"{PYTHON}.")
        assert cell.attestation.distributions["toysubject"] == "1.0"
        assert cell.lock is not None
        assert cell.attestation.distributions == cell.lock.versions
        assert "test_answers: passed" in first_run.file(cell.log)
        assert "toysubject==1.0" in first_run.file(cell.lock.file)


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("assert 1 == 2, 'one is not two'", "failed", ""),
        ("ctypes.string_at(0)", "crashed", "SIGSEGV"),
        ("os._exit(0)", "crashed", "exit status 0 in the middle"),
        ("time.sleep(600)", "timed-out", "after 5 s"),
    ],
)
def test_a_check_gone_wrong_fails_the_cell_and_the_others_report(
    toy: Toy, body: str, outcome: str, reason: str
) -> None:
    ran = toy.run(beside(body), limits={"check": 5})

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.CHECKS)}
    assert ran.exit_code == 1
    cell = ran.cells["plain"]
    assert checks_of(cell) == {"test_before": "passed", "test_wrong": outcome, "test_after": "passed"}
    assert cell.checks[1].reason == reason
    assert "test_toy.py" in cell.checks[1].detail
    assert "test_after: passed" in ran.file(cell.log)


def test_a_hang_that_outlasts_the_cell_is_ended_with_it(toy: Toy) -> None:
    ran = toy.run(beside("time.sleep(600)"), limits={"cell": 12, "check": 600})

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.TIMED_OUT)}
    assert ran.exit_code == 1
    # On a machine too busy to get this far in its time, not even the first one is known.
    known = checks_of(ran.cells["plain"])
    assert known in ({}, {"test_before": "passed", "test_wrong": "missing", "test_after": "missing"})


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        pytest.param(
            "assert subprocess.run([sys.executable, '-c', 'b\"x\" * 2**29']).returncode == -9",
            "passed",
            id="a-child-of-the-check",
        ),
        pytest.param("b'x' * 2**29", "crashed", id="the-check-itself"),
    ],
)
def test_a_cell_that_ran_out_of_memory_fails_whoever_survived_it(
    toy: Toy, body: str, outcome: str
) -> None:
    ran = toy.run(beside(body))

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.OOM)}
    assert ran.exit_code == 1
    told = checks_of(ran.cells["plain"])
    assert told == {"test_before": "passed", "test_wrong": outcome, "test_after": "passed"}


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ("python", f"Python is 3.99.0, not {PYTHON}"),
        ("version", "toysubject 1.0 is locked, 0.1 is installed"),
    ],
)
def test_a_container_that_is_not_what_was_declared_fails(toy: Toy, lie: str, told: str) -> None:
    lying = {"plain": {"environment": {"TOY_LIE": lie}}}

    ran = toy.run(beside("pass"), lying)

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.NOT_AS_DECLARED)}
    assert ran.exit_code == 1
    assert told in ran.cells["plain"].message
    assert set(checks_of(ran.cells["plain"]).values()) == {"passed"}


# A whole result that is green, but for whose it is.
FORGERY = """
import json, os, pathlib

CELL = json.loads(pathlib.Path("/matrixci/cell.json").read_text())
RESULTS = pathlib.Path("/matrixci/results/results.jsonl")

def forge(**whose):
    at = "2026-11-21T10:00:00+00:00"
    name = "test_toy.py::test_wrong"
    check = {"id": name, "claim": "", "reference": None, "severity": "error"}
    plain = {"reason": "", "need": None, "message": "", "detail": "", "figures": {}}
    told = {"nonce": CELL["nonce"], "run": CELL["run"], "cell": CELL["cell"], **whose}
    attested = next(l for l in RESULTS.read_text().splitlines() if '"attestation"' in l)
    lines = [
        {"kind": "header", "schema": 1, **told},
        json.loads(attested),
        {"kind": "collected", "checks": [check]},
        {"kind": "begin", "id": name},
        {"kind": "end", "id": name, "outcome": "passed", **plain},
        {"kind": "footer", "checks": 1, "ended": 1},
    ]
    forged = RESULTS.with_name("forged")
    forged.write_text("".join(json.dumps({"at": at, **line}) + chr(10) for line in lines))
    forged.replace(RESULTS)

def test_wrong():
    BODY
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("RESULTS.unlink()", Reason.NO_RESULT),
        ("RESULTS.unlink(); RESULTS.symlink_to('/matrixci/cell.json')", Reason.NO_RESULT),
        ("RESULTS.unlink(); RESULTS.write_bytes(b'')", Reason.NO_RESULT),
        ("RESULTS.unlink(); RESULTS.write_bytes(b'{}' * 2**20)", Reason.NO_RESULT),
        ("RESULTS.open('a').write('green')", Reason.INVALID_RESULT),
        ("os.truncate(RESULTS, 0)", Reason.INVALID_RESULT),
        ("forge(cell='another')", Reason.FOREIGN_RESULT),
        ("forge(run='another')", Reason.FOREIGN_RESULT),
        ("forge(nonce='another')", Reason.FOREIGN_RESULT),
    ],
)
def test_a_result_that_was_tampered_with_is_never_green(
    toy: Toy, body: str, reason: Reason
) -> None:
    ran = toy.run({"test_toy.py": FORGERY.replace("BODY", body)}, limits={"result": "1 MiB"})

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, reason)}
    assert ran.exit_code == 1


def test_a_container_whose_supervisor_was_killed_fails(toy: Toy) -> None:
    ran = toy.run(beside("os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"))

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.EXIT_STATUS)}
    assert ran.exit_code == 1
    cell = ran.cells["plain"]
    assert "exit status 137, during test_toy.py::test_wrong" in cell.message
    assert checks_of(cell) == {
        "test_before": "passed",
        "test_wrong": "missing",
        "test_after": "missing",
    }


@pytest.mark.parametrize(
    "source",
    ["", "import pytest\n@pytest.mark.skip(reason='rain')\ndef test_skipped(): pass\n"],
    ids=["none-collected", "all-skipped"],
)
def test_a_cell_in_which_nothing_ran_fails(toy: Toy, source: str) -> None:
    ran = toy.run({"test_toy.py": source})

    assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.NO_CHECKS)}
    assert ran.exit_code == 1


def test_what_needs_a_gpu_is_skipped_where_there_is_none(toy: Toy) -> None:
    checks = {
        "test_toy.py": """
        import pytest

        def test_plain():
            pass

        def test_device(device):
            assert device == "cuda"

        @pytest.mark.needs("gpu")
        def test_marked():
            raise AssertionError("there is no GPU")
        """
    }

    ran = toy.run(checks, {"plain": {}, "gpu": {"gpu": True}})

    partial = (CellOutcome.PARTIAL, Reason.NEEDS)
    assert ran.outcomes["gpu"] == partial
    assert ran.exit_code == 1  # the plain cell's own device is no GPU
    skipped = {check.id: check for check in ran.cells["gpu"].checks}
    assert skipped


def test_known_issue(toy: Toy) -> None:
    ...
