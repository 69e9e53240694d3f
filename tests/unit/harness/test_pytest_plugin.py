import textwrap

import pytest
from harness_runs import EXPECTED, HarnessRun, install, supervise

from matrixci.model import Cell, CellOutcome, LockRecord, Reason
from matrixci.outcomes import cell_outcome
from matrixci.sandbox.evidence import Exit, Expected, examine

PLAIN = {
    "helper.py": """
        def hold(value):
            assert value == 1, f"the helper was given {value}"
    """,
    "test_plain.py": '''
        import os
        import subprocess
        import sys
        import warnings

        import helper
        import pytest


        @pytest.mark.reference("owner/repository#1")
        @pytest.mark.severity("warning")
        def test_passes(metric, cell, device, tmp_path, monkeypatch):
            """It passes, and says so.

            At length.
            """
            metric("load_seconds", 5)
            assert (cell.cell, cell.axes["device"], device) == ("py3-cpu", "cpu", "cpu")
            with pytest.raises(AttributeError):
                cell.cell = "another"
            warnings.warn("not an error")
            print("not run")


        def test_has_no_docstring():
            pass


        def test_message():
            print("printed before")
            os.system("echo from a process of its own")
            assert [1] == [2], "the lists differ"


        def test_no_message():
            assert 1 == 2


        def test_in_helper():
            helper.hold(2)


        def test_says_fail():
            pytest.fail("by hand")


        def test_raises():
            raise KeyError("a key")


        def test_exits():
            sys.exit(4)


        def test_unknown_fixture(nothing):
            pass


        @pytest.fixture
        def breaks_before():
            raise ValueError("before")


        def test_setup(breaks_before):
            pass


        @pytest.fixture
        def breaks_after():
            yield
            raise ValueError("after")


        def test_teardown(breaks_after):
            pass


        def test_fails_twice(breaks_after):
            raise ValueError("in the middle")


        def test_skips():
            pytest.skip("not today")


        @pytest.mark.skipif(True, reason="never")
        def test_skipped_by_mark():
            pass


        @pytest.mark.needs("gpu")
        def test_needs_gpu():
            raise AssertionError


        @pytest.mark.needs("deepspeed")
        def test_needs_deepspeed():
            raise AssertionError


        @pytest.mark.needs("numpy>=2")
        def test_needs_unknown():
            pass


        @pytest.mark.needs("No.such_package")
        def test_needs_package():
            raise AssertionError


        @pytest.mark.needs("PyTest")
        def test_needs_what_is_there():
            pass


        @pytest.mark.xfail
        def test_expected_to_fail():
            raise AssertionError


        @pytest.mark.xfail
        def test_expected_to_fail_and_passes():
            pass


        @pytest.mark.parametrize("value", ["USE_TF=0", "a b", "é"])
        def test_each(value):
            """Each is well."""


        class TestClass:
            def test_method(self):
                pass


        def test_not_a_number(metric):
            metric("load_seconds", float("nan"))


        def test_name_is_taken(metric):
            metric("seconds", 1)


        def test_too_many_metrics(metric):
            for number in range(1_000):
                metric(f"{number}_seconds", number)


        def test_strange_text():
            pytest.fail("a \\udcff b \\x1b[31m \\x00 é")


        def test_long():
            print("\\u00e9" * 1_000_000)
            pytest.fail("\\x01" * 100_000)


        def test_inherits_nothing():
            script = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
            command = [sys.executable, "-c", script]
            assert subprocess.check_output(command, close_fds=False) == b"[0, 1, 2]\\n"


        def test_comes_back_from_a_fork():
            pid = os.fork()
            assert pid, "this is the copy"
            os.waitpid(pid, 0)


        def test_harness_is_not_importable():
            with pytest.raises(ImportError):
                import supervise
    ''',
    "test_broken.py": "import nothing_of_this_name\n",
    "test_syntax.py": "def broken(:\n",
    "test_marker.py": """
        import pytest


        @pytest.mark.need("gpu")
        def test_mistyped():
            pass
    """,
    "test_left_out.py": """
        import pytest

        pytest.skip("not on this machine", allow_module_level=True)
    """,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> HarnessRun:
    folder = tmp_path_factory.mktemp("plain")
    # Settings and plugins of the machine, which must not be read.
    ini = {"pytest.ini": "[pytest]\naddopts = --nothing\n"}
    environment = install(folder / "site", {"intruder": "raise ValueError"})
    points = folder / "site" / "intruder-2.0.dist-info" / "entry_points.txt"
    points.write_text("[pytest11]\nintruder = intruder\n")
    environment |= {"PYTEST_ADDOPTS": "--nothing", "PYTEST_PLUGINS": "nothing"}
    return supervise(folder, PLAIN | ini, environment)


def test_file_is_complete(plain: HarnessRun) -> None:
    assert plain.complete, plain.log
    kinds = list(dict.fromkeys(record["kind"] for record in plain.records))
    assert kinds == ["header", "attestation", "collected", "begin", "end", "footer"]
    assert len(plain.of("collected")) > 1
    assert all(record["at"].endswith("+00:00") for record in plain.records)
    header = plain.records[0]
    assert (header["nonce"], header["run"], header["cell"]) == ("abcd", "run-1", "py3-cpu")


def line_of_plain(text: str) -> int:
    """Return the first line, from 1, of the plain checks with a text."""
    return textwrap.dedent(PLAIN["test_plain.py"]).partition(text)[0].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "line"), [("broken", 1), ("syntax", 1), ("marker", 5), ("left_out", None)]
)
def test_line_at_which_a_file_cannot_be_imported(
    plain: HarnessRun, file: str, line: int | None
) -> None:
    described = {check["id"]: check for check in plain.collected}

    assert described[f"test_{file}.py"]["line"] == line


def test_claims(plain: HarnessRun) -> None:
    described = {check["id"].partition("::")[2]: check for check in plain.collected}

    assert described["test_passes"] == {
        "id": "test_plain.py::test_passes",
        "claim": "It passes, and says so.",
        "reference": "owner/repository#1",
        "severity": "warning",
        "line": line_of_plain("@pytest.mark.reference"),
    }
    assert described["test_has_no_docstring"] == {
        "id": "test_plain.py::test_has_no_docstring",
        "claim": "has no docstring",
        "reference": None,
        "severity": "error",
        "line": line_of_plain("def test_has_no_docstring"),
    }
    assert described["test_each[USE_TF=0]"]["claim"] == "Each is well."
    assert "test_each[a b]" in described
    assert "TestClass::test_method" in described


@pytest.mark.parametrize(
    ("check", "outcome", "says"),
    [
        ("passes", "passed", ""),
        ("has_no_docstring", "passed", ""),
        ("message", "failed", "the lists differ"),
        ("no_message", "failed", "assert 1 == 2"),
        ("in_helper", "failed", "the helper was given 2"),
        ("says_fail", "failed", "by hand"),
        ("raises", "failed", "KeyError: 'a key'"),
        ("exits", "failed", "SystemExit: 4"),
        ("unknown_fixture", "failed", "fixture 'nothing' not found"),
        ("setup", "failed", "ValueError: before"),
        ("teardown", "failed", "ValueError: after"),
        ("fails_twice", "failed", "ValueError: in the middle"),
        ("skips", "skipped", ""),
        (
            "needs_unknown",
            "failed",
            "needs() takes 'gpu', 'distributed' or the name of a distribution, not 'numpy>=2'",
        ),
        ("needs_what_is_there", "passed", ""),
        (
            "expected_to_fail",
            "failed",
            EXPECTED,
        ),
        (
            "expected_to_fail_and_passes",
            "failed",
            EXPECTED,
        ),
        ("each[USE_TF=0]", "passed", ""),
        ("strange_text", "failed", "a ? b \x1b[31m \x00 é"),
        ("inherits_nothing", "passed", ""),
        ("comes_back_from_a_fork", "passed", ""),
        ("harness_is_not_importable", "passed", ""),
    ],
)
def test_plain_outcomes(plain: HarnessRun, check: str, outcome: str, says: str) -> None:
    end = plain.ends[f"test_plain.py::test_{check}"]

    assert (end["outcome"], end["message"], end["need"]) == (outcome, says, None)
    assert end["metrics"]["seconds"] >= 0


@pytest.mark.parametrize(
    ("check", "reason", "need"),
    [
        ("test_plain.py::test_skips", "not today", None),
        ("test_plain.py::test_skipped_by_mark", "never", None),
        ("test_plain.py::test_needs_gpu", "the cell's device is cpu", None),
        ("test_plain.py::test_needs_deepspeed", "deepspeed is not installed", None),
        ("test_plain.py::test_needs_package", "No.such_package is not installed", None),
        ("test_left_out.py", "not on this machine", None),
    ],
)
def test_skips_have_reasons(plain: HarnessRun, check: str, reason: str, need: str | None) -> None:
    end = plain.ends[check]

    assert (end["outcome"], end["reason"], end["need"]) == ("skipped", reason, need)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("broken", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("syntax", "SyntaxError: "),
        ("marker", "'need' not found in `markers`"),
    ],
)
def test_files_that_cannot_be_imported_are_reported(
    plain: HarnessRun, file: str, says: str
) -> None:
    end = plain.ends[f"test_{file}.py"]

    assert end["outcome"] == "failed"
    assert says in end["message"]
    assert says in end["detail"]


def test_detail_holds_traceback_and_output(plain: HarnessRun) -> None:
    detail = plain.ends["test_plain.py::test_message"]["detail"]

    assert 'assert [1] == [2], "the lists differ"' in detail
    assert detail.endswith("--- output ---\nprinted before\nfrom a process of its own")
    twice = plain.ends["test_plain.py::test_fails_twice"]["detail"]
    assert "ValueError: in the middle" in twice
    assert "ValueError: after" in twice
    assert plain.ends["test_plain.py::test_passes"]["detail"] == ""


def test_metrics(plain: HarnessRun) -> None:
    assert plain.ends["test_plain.py::test_passes"]["metrics"]["load_seconds"] == 5.0
    for check, says in {
        "not_a_number": "ValueError: metric load_seconds is nan",
        "name_is_taken": "ValueError: metric seconds: ",
        "too_many_metrics": "ValueError: metric 199_seconds: ",
    }.items():
        refused = plain.ends[f"test_plain.py::test_{check}"]
        assert refused["outcome"] == "failed"
        assert refused["message"].startswith(says)


def test_long_texts_are_cut_in_the_middle(plain: HarnessRun) -> None:
    end = plain.ends["test_plain.py::test_long"]

    assert len(end["message"]) <= 4_000
    assert len(end["detail"]) <= 20_000
    assert "characters cut out" in end["message"]
    assert "characters cut out" in end["detail"]


def test_results_are_evidence(plain: HarnessRun) -> None:
    attested = plain.of("attestation")[0]
    cell = Cell(
        id="py3-cpu",
        axes={},
        python=".".join(attested["python"].split(".")[:2]),
        requires=("pytest",),
        environment={},
        torch_backend=None,
        base=None,
        gpu=False,
    )
    lock = LockRecord(
        digest="",
        file="",
        versions=attested["distributions"],
        torch_backend=None,
        fallback=False,
    )

    evidence = examine(
        plain.raw, Expected(run="run-1", nonce="abcd", cell=cell, lock=lock), Exit(status=0)
    )

    assert evidence.problem is None
    assert len(evidence.checks) == len(plain.collected)
    verdict = cell_outcome(evidence.checks, evidence.problem)
    assert (verdict.outcome, verdict.reason) == (CellOutcome.FAILED, Reason.CHECKS)
