from pathlib import Path

import pytest
from harness_runs import HarnessRun, is_gone, supervise

# The last line of the log


def test_log_ends_with_the_number_of_checks(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        """
        import os
        import pytest

        @pytest.fixture
        def resource():
            yield

        def test_a(resource):
            pass

        def test_b(resource):
            assert 0

        def test_c():
            os._exit(3)

        def test_d():
            pass
        """,
    )
    assert run.complete
    lines = run.log.splitlines()
    assert lines[-1] == "matrixci: 1 crashed, 1 failed, 2 passed"
    assert not [line for line in lines[:-1] if " passed" in line and "::" not in line]


def test_unfinished_checks_are_counted(tmp_path: Path) -> None:
    run = supervise(tmp_path, "def test_a(): pass\n", only=["test_it.py::test_b"])
    assert run.log.splitlines()[-1] == "matrixci: 1 not finished"


# Crashes


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> HarnessRun:
    files = """
        import ctypes
        import os
        import signal

        import pytest


        def test_before():
            print("printed by another check")


        def test_segfault():
            print("printed before the crash")
            ctypes.string_at(0)


        def test_killed():
            os.kill(os.getpid(), signal.SIGKILL)


        def test_exits_0():
            os._exit(0)


        def test_exits_3():
            os.write(2, b"written to stderr")
            os._exit(3)


        def test_leaves_pytest():
            pytest.exit("enough")


        def test_after():
            pass
    """
    return supervise(tmp_path_factory.mktemp("deaths"), files)


def test_run_continues_after_each_crash(deaths: HarnessRun) -> None:
    assert deaths.complete, deaths.log
    assert list(deaths.outcomes.values()) == ["passed", *["crashed"] * 5, "passed"]
    assert len(deaths.of("begin")) == 7


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("segfault", "SIGSEGV"),
        ("killed", "SIGKILL"),
        ("exits_0", "exit status 0 before its end"),
        ("exits_3", "exit status 3"),
        ("leaves_pytest", "exit status 2"),
    ],
)
def test_reasons_of_crashes(deaths: HarnessRun, check: str, reason: str) -> None:
    end = deaths.ends[f"test_it.py::test_{check}"]

    assert end["reason"] == reason
    assert reason in end["message"]
    assert "seconds" in end["metrics"]


def test_crash_reports_its_line_and_output(deaths: HarnessRun) -> None:
    end = deaths.ends["test_it.py::test_segfault"]

    assert 'at File "test_it.py", line 15 in test_segfault' in end["message"]
    assert "Fatal Python error: Segmentation fault" in end["detail"]
    assert end["detail"].endswith("--- output ---\nprinted before the crash")
    assert "another check" not in end["detail"]
    assert deaths.ends["test_it.py::test_exits_3"]["detail"] == "written to stderr"


def test_hanging_check_is_killed_with_its_group(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        f"""
        import pathlib
        import signal
        import subprocess
        import time


        def test_hangs():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            helper = subprocess.Popen(["sleep", "600"])
            pathlib.Path({str(tmp_path)!r}, "pid").write_text(str(helper.pid))
            print("about to hang")
            time.sleep(600)


        def test_after():
            pass
        """,
        limits={"check_seconds": 1},
    )

    assert run.complete, run.log
    assert list(run.outcomes.values()) == ["timed-out", "passed"]
    end = run.ends["test_it.py::test_hangs"]
    assert end["reason"] == "after 1 s"
    assert 'at File "test_it.py", line 13 in test_hangs' in end["message"]
    assert "most recent call first" in end["detail"]
    assert end["detail"].endswith("--- output ---\nabout to hang")
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_files_whose_import_crashes_are_reported(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {
            "test_exits.py": "import os\nos._exit(7)\n",
            "test_good.py": "def test_good(): pass\n",
            "test_hangs.py": "import time\ntime.sleep(600)\n",
            "test_leaves.py": "import sys\nsys.exit(5)\n",
            "test_segfaults.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        },
        limits={"check_seconds": 1},
    )

    assert run.complete, run.log
    assert run.outcomes == {
        "test_exits.py": "crashed",
        "test_hangs.py": "timed-out",
        "test_leaves.py": "crashed",
        "test_segfaults.py": "crashed",
        "test_good.py::test_good": "passed",
    }
    assert run.ends["test_exits.py"]["reason"] == "exit status 7"
    assert run.ends["test_segfaults.py"]["reason"] == "SIGSEGV"
    assert 'at File "test_hangs.py", line 2 in <module>' in run.ends["test_hangs.py"]["message"]
    lines = {check["id"]: check["line"] for check in run.collected}
    assert (lines["test_hangs.py"], lines["test_segfaults.py"]) == (2, 2)
    assert lines["test_exits.py"] is None  # os._exit() leaves no stacks


def test_crash_in_every_import(tmp_path: Path) -> None:
    run = supervise(tmp_path, "import os\nos._exit(7)\n")

    assert run.complete, run.log
    assert run.outcomes == {"test_it.py": "crashed"}


def test_crash_between_two_checks(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {
            "conftest.py": """
                import os

                import pytest


                @pytest.hookimpl(trylast=True)
                def pytest_runtest_logfinish(nodeid):
                    if nodeid.endswith("test_1"):
                        os._exit(9)
            """,
            "test_it.py": "def test_1(): pass\ndef test_2(): pass\ndef test_3(): pass\n",
        },
    )

    assert run.complete, run.log
    assert list(run.outcomes.values()) == ["passed"] * 3
    assert "died with exit status 9 outside of any check" in run.log


def test_crash_before_the_end_of_collection(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {"conftest.py": "import os\nos._exit(9)\n", "test_it.py": "def test_1(): pass\n"},
    )

    assert run.status == 0
    assert run.of("collected") == []
    assert run.records[-1]["kind"] == "footer"
    assert "without starting a check" in run.log


def test_broken_file_is_reported_although_collection_crashes(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {
            "conftest.py": "import os\ndef pytest_collection_modifyitems(): os._exit(9)\n",
            "test_a.py": "import os\nos._exit(7)\n",
            "test_b.py": "def test_1(): pass\n",
        },
    )

    assert run.complete, run.log
    assert run.outcomes == {"test_a.py": "crashed"}
    assert "without starting a check" in run.log


def test_check_with_an_invalid_description_fails_the_run(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        """
        import pytest


        @pytest.mark.severity("none")
        def test_1():
            pass


        def test_2():
            pass
        """,
    )

    assert run.status == 1
    assert run.of("footer") == []
    assert "2 checks were collected, but only 1 were reported" in run.log


def test_interrupted_collection_is_not_complete(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {
            "conftest.py": """
                import pytest


                @pytest.hookimpl(trylast=True)
                def pytest_collectreport(report):
                    if report.nodeid == "test_a.py":
                        raise RuntimeError("in the middle of the collection")
            """,
            "test_a.py": "def test_1(): pass\n",
            "test_b.py": "def test_1(): pass\n",
        },
    )

    assert run.status == 0
    assert "test_b.py::test_1" not in run.outcomes
    assert run.of("begin") == []
    assert "RuntimeError: in the middle of the collection" in run.log


def test_slow_start_is_allowed_and_a_hang_at_the_end_is_not(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        {
            "conftest.py": "import time\ntime.sleep(1.2)\n",
            "test_it.py": """
                import atexit
                import time

                atexit.register(time.sleep, 600)


                def test_1():
                    pass
            """,
        },
        limits={"check_seconds": 1},
    )

    assert run.complete, run.log
    assert run.outcomes == {"test_it.py::test_1": "passed"}
    assert "pytest hung outside of any check" in run.log
