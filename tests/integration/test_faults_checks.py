"""Tests of checks that misbehave: each is reported correctly and does not affect other cells."""

import secrets
from datetime import timedelta

import pytest
from engine_state import processes_with
from misbehaving import DOING, TAMPERING, around, doing, failed
from toy import PASSED, PASSING, Ran, Toy, checks_of

from matrixci import model
from matrixci.engine import client as engine
from matrixci.execution import cell_recorder as draft
from matrixci.execution import pipeline
from matrixci.images import cell_images as images
from matrixci.model import CellOutcome, CellResult, Reason, StepName

pytestmark = pytest.mark.faults

LOG_BYTES = 2**20


def test_check_that_ignores_signals_is_killed(toy: Toy) -> None:
    stubborn = doing(
        stubborn="[signal.signal(each, signal.SIG_IGN) for each in"
        " (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]; time.sleep(600)",
        fine="",
    )

    ran = toy.run(DOING, stubborn, {"check-timeout": 4})

    assert ran.outcomes == {"stubborn": failed(Reason.CHECKS), "fine": PASSED}
    assert checks_of(ran.cells["stubborn"]) == around("timed-out")


def test_abort_is_reported_as_a_crash(toy: Toy) -> None:
    ran = toy.run(DOING, doing(aborts="os.abort()", fine=""))

    assert ran.outcomes == {"aborts": failed(Reason.CHECKS), "fine": PASSED}
    assert checks_of(ran.cells["aborts"]) == around("crashed")
    assert ran.cells["aborts"].checks[1].reason == "SIGABRT"


def test_container_whose_supervisor_runs_out_of_memory_fails(toy: Toy) -> None:
    # Make the kernel kill the supervisor first, and the check last.
    last = "open('/proc/self/oom_score_adj', 'w').write('0')"
    first = "open(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('1000')"
    ran = toy.run(DOING, doing(eats=f"{first}; {last}; x = b'x' * 2**29; time.sleep(60)", fine=""))

    assert ran.outcomes == {"eats": failed(Reason.OOM), "fine": PASSED}


def test_fork_bomb_ends_with_its_cell(toy: Toy) -> None:
    token = secrets.token_hex(8)
    bomb = f"subprocess.Popen(['sh', '-c', ': {token}; f() {{ f | f & }}; f; sleep 600'])"
    ran = toy.run(
        DOING,
        doing(bomb=f"{bomb}; time.sleep(600)", fine=""),
        {"check-timeout": 6, "cell-timeout": 40},
    )

    assert ran.outcomes["fine"] == PASSED
    outcome, reason = ran.outcomes["bomb"]
    assert (
        outcome,
        reason in {Reason.CHECKS, Reason.TIMED_OUT, Reason.EXIT_STATUS, Reason.OOM},
    ) == (
        CellOutcome.FAILED,
        True,
    )
    assert processes_with("cmdline", token) == []


def test_full_temporary_folder_fails_only_that_check(toy: Toy) -> None:
    filling = doing(fills="open('/tmp/full', 'wb').write(bytes(200 * 2**20))", fine="")

    ran = toy.run(DOING, filling)

    assert ran.outcomes["fine"] == PASSED
    assert ran.outcomes["fills"][0] is CellOutcome.FAILED
    check = ran.cells["fills"].checks[1]
    assert "No space left" in f"{check.message}{check.detail}"


def test_gigabyte_of_output_is_truncated(toy: Toy) -> None:
    # Written to the descriptors directly, and to the streams that pytest captures.
    direct = {
        f"direct_{name}": f"[os.write({number}, b'y' * 2**20) for _ in range(2**10)]"
        for name, number in (("stdout", 1), ("stderr", 2))
    }
    line = "x" * 1023
    captured = {
        f"captured_{name}": f"[sys.{name}.write({line!r} + chr(10)) for _ in range(2**16)]"
        for name in ("stdout", "stderr")
    }

    modes = doing(**direct, **captured, fine="")
    ran = toy.run(DOING, modes, {"log-size": LOG_BYTES, "check-timeout": 120, "memory": "512 MiB"})

    assert ran.outcomes["fine"] == PASSED
    for mode in modes.keys() - {"fine"}:
        cell = ran.cells[mode]
        assert cell.outcome in {CellOutcome.PASSED, CellOutcome.FAILED}
        assert len(ran.file(cell.log)) < LOG_BYTES + 1000
        assert checks_of(cell)["test_after"] == "passed"


def test_unreadable_result_is_never_green(toy: Toy) -> None:
    bad = doing(
        doubled="RESULTS.write_bytes(RESULTS.read_bytes() * 2)",
        not_utf8="replace(bytes([0xff, 0xfe, 10]))",
        nested="replace(b'[' * 60000 + b']' * 60000 + bytes([10]))",
        laughs="replace(b'{\"a\":' * 12000 + b'1' + b'}' * 12000 + bytes([10]))",
        digits="replace(b'9' * 60000 + bytes([10]))",
        folder="RESULTS.unlink(); RESULTS.mkdir()",
        pipe="RESULTS.unlink(); os.mkfifo(RESULTS)",
        linked_out="RESULTS.unlink(); RESULTS.symlink_to('../../../../../../etc/passwd')",
        sparse="replace(b''); os.truncate(RESULTS, 2**40)",
        others="[(RESULTS.parent / f'{n}').write_bytes(bytes(2**20)) for n in range(8)]",
    )

    ran = toy.run(TAMPERING, {**bad, **doing(fine="")}, {"result-size": "1 MiB"})

    outcomes = ran.outcomes
    assert outcomes.pop("fine") == PASSED
    reasons = {Reason.NO_RESULT, Reason.INVALID_RESULT, Reason.INCOMPLETE, Reason.EXIT_STATUS}
    for mode, (outcome, reason) in outcomes.items():
        assert outcome is CellOutcome.FAILED, mode
        assert reason in reasons, mode
    assert ran.exit_code == 1


def test_checks_that_hang_during_collection_reach_the_no_output_timeout(toy: Toy) -> None:
    silent = {"test_toy.py": "import time\ntime.sleep(600)\ndef test_never():\n    pass\n"}

    ran = toy.run(silent, limits={"check-timeout": 6, "no-output-timeout": 6, "cell-timeout": 300})

    assert ran.outcomes == {"plain": failed(Reason.TIMED_OUT)}
    assert "printed nothing for too long" in ran.cells["plain"].message
    assert _seconds(ran.cells["plain"]) < 100


def _seconds(cell: CellResult) -> float:
    return sum(step.seconds for step in cell.steps if step.name is StepName.CHECKS)


def test_background_process_of_a_check_does_not_outlive_its_cell(toy: Toy) -> None:
    token = secrets.token_hex(8)
    daemon = (
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', "
        f"{token!r}], start_new_session=True)"
    )

    ran = toy.run(DOING, doing(leaves=daemon))

    assert ran.outcomes == {"leaves": PASSED}
    assert processes_with("cmdline", token) == []


def test_durations_are_not_negative_when_the_clock_is_set_back(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = iter(range(1, 10_000))

    def earlier() -> object:
        return model.now() - timedelta(hours=next(hours))

    for module in (draft, engine, images, pipeline):
        if hasattr(module, "now"):
            monkeypatch.setattr(module, "now", earlier)

    ran: Ran = toy.run(PASSING)

    assert ran.outcomes == {"plain": PASSED}
    assert all(step.seconds >= 0 for step in ran.cells["plain"].steps)
