import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from harness_runs import (
    TIMEOUT,
    is_gone,
    supervise,
    write_cell,
)


def test_flood_of_output(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        """
        import sys


        def test_prints():
            for _ in range(50):
                sys.stdout.write("x" * 1_000_000)


        def test_prints_little():
            print("little")
            raise AssertionError


        def test_prints_much():
            sys.stderr.write("first " + "y" * 1_000_000 + " last")
            raise AssertionError
        """,
    )

    assert run.complete, run.log[-2_000:]
    assert run.log.count("x") >= 50_000_000
    little = run.ends["test_it.py::test_prints_little"]["detail"]
    assert little.endswith("\n\n--- output ---\nlittle")
    much = run.ends["test_it.py::test_prints_much"]["detail"]
    assert much.endswith("y last")
    assert "earlier bytes are only in the log" in much


def test_leftover_processes_do_not_delay_the_run(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        f"""
        import os
        import pathlib
        import subprocess
        import time


        def note(pid):
            with pathlib.Path({str(tmp_path)!r}, "pids").open("a") as file:
                print(pid, file=file)


        def test_leaves_a_program():
            command = "while true; do echo still here; sleep 0.01; done"
            note(subprocess.Popen(["sh", "-c", command], start_new_session=True).pid)


        def test_leaves_a_fork():
            pid = os.fork()
            if pid == 0:
                os.setsid()
                time.sleep(600)
            note(pid)


        def test_after():
            pass
        """,
    )

    left = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert len(left) == 2
    assert run.complete, run.log
    assert list(run.outcomes.values()) == ["passed"] * 3


def test_events_forged_by_a_check_are_dropped(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        '''
        import contextlib
        import json
        import os
        import stat


        def say(data):
            """Write to the pipe of the harness, the only pipe besides the output."""
            output = os.fstat(1).st_ino
            for descriptor in range(3, 100):
                with contextlib.suppress(OSError):
                    run = os.fstat(descriptor)
                    while data and stat.S_ISFIFO(run.st_mode) and run.st_ino != output:
                        data = data[os.write(descriptor, data):]
            assert not data


        def test_1():
            end = {"kind": "end", "reason": "", "need": None, "message": "", "detail": ""}
            itself = "test_it.py::test_1"
            events = [
                {"kind": "begin", "id": itself},
                {"kind": "begin", "id": "test_it.py::test_9"},
                {"kind": "begin", "id": ["test_it.py::test_2"]},
                {"kind": "begin"},
                {"kind": "end", "id": "test_it.py::test_2", "outcome": "passed", "metrics": {}},
                {**end, "id": itself, "outcome": "fixed", "metrics": {}},
                {**end, "id": itself, "outcome": "passed", "metrics": {"seconds": float("inf")}},
                {**end, "id": itself, "outcome": "passed", "metrics": {"seconds": None}},
                {**end, "id": itself, "outcome": "passed", "metrics": []},
                {**end, "id": "test_it.py::test_2", "outcome": "passed", "metrics": {}},
                {"kind": "footer"},
                {"kind": "collected", "count": 1},
                "kind",
                None,
            ]
            for event in events:
                say(json.dumps(event).encode() + b"\\n")
            valid = {**end, "id": itself, "outcome": "passed", "metrics": {}}
            say(json.dumps(valid).encode().ljust(100_000) + b"\\n")
            say(b"\\xff\\n" + b"[" * 50_000 + b"\\n" + b"x" * 1_000_000 + b"\\n\\n")
            raise AssertionError("as it is")


        def test_2():
            say(b"no end of line")
        ''',
    )

    assert run.complete, run.log
    # The check had written a partial line before the end of the second check.
    assert run.outcomes == {"test_it.py::test_1": "failed", "test_it.py::test_2": "crashed"}
    assert run.ends["test_it.py::test_1"]["message"] == "as it is"
    assert run.log.count("matrixci: dropped an invalid event") >= 15


def test_begin_is_written_before_the_check_runs(tmp_path: Path) -> None:
    # The supervisor is stopped, then killed long after the second check would have written its
    # file, unless the check waits until its output is read and its begin is written.
    checks = """
        import os, signal, subprocess, sys, pathlib

        KILL = "import os, sys, time; time.sleep(2); os.kill(int(sys.argv[1]), 9)"

        def test_1():
            parent = os.getppid()
            subprocess.Popen([sys.executable, "-c", KILL, str(parent)], start_new_session=True)
            os.kill(parent, signal.SIGSTOP)

        def test_2():
            pathlib.Path("mark").touch()
    """
    run = supervise(tmp_path, checks)
    assert not (tmp_path / "mark").exists()
    assert run.status == -signal.SIGKILL
    assert [begin["id"] for begin in run.of("begin")] == ["test_it.py::test_1"]


def test_killed_supervisor_writes_no_footer(tmp_path: Path) -> None:
    run = supervise(
        tmp_path, "import os\ndef test_1(): os.kill(os.getppid(), 9)\ndef test_2(): pass\n"
    )

    assert run.status == -signal.SIGKILL
    assert run.of("footer") == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_supervisor_writes_no_footer(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    checks = f"""
        import os
        import pathlib
        import time


        def test_hangs():
            file = pathlib.Path({str(tmp_path)!r}, "pid")
            file.with_suffix(".new").write_text(str(os.getpid()))
            file.with_suffix(".new").rename(file)
            time.sleep(600)
    """
    command = write_cell(tmp_path, {"test_it.py": checks}, {})

    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + TIMEOUT
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(TIMEOUT) == status

    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[-1] == "begin"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_existing_results_are_not_overwritten(tmp_path: Path) -> None:
    command = write_cell(tmp_path, {}, {})
    (tmp_path / "results/results.jsonl").write_text("of another\n")

    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)

    assert done.returncode == 1
    assert b"written only once" in done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "results/results.jsonl").read_text() == "of another\n"
