"""The real supervisor, run over tiny folders of checks."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from matrixci.model import Cell, CellOutcome, LockRecord, Reason
from matrixci.outcomes import cell_outcome
from matrixci.sandbox.evidence import Exit, Expected, examine

HARNESS = Path(__file__).parents[3] / "matrixci" / "harness"
PAGE = HARNESS.parents[1] / "docs" / "reference" / "writing-checks.md"
INTERPRETER = sys.executable
PATIENCE = 60  # seconds: far more than any of these takes, so that a hang fails and not blocks

EXPECTED = "expected failures of built-in checks belong in matrix.yaml's known-issues"

CELL: Mapping[str, Any] = {
    "schema": 1,
    "nonce": "abcd",
    "run": "run-1",
    "cell": "py3-cpu",
    "axes": {"python": "3", "device": "cpu"},
    "device": "cpu",
    "subject": "pytest",
    "builtin": True,
    "requires": ["pytest"],
    "lock": {},
    "torch_backend": None,
    "torch_fallback": False,
    "select": None,
    "only": None,
    "limits": {"check_seconds": 30},
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a run of the supervisor left."""

    status: int
    log: str
    raw: bytes

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def collected(self) -> list[dict[str, Any]]:
        return [check for record in self.of("collected") for check in record["checks"]]

    @property
    def ends(self) -> dict[str, dict[str, Any]]:
        return {record["id"]: record for record in self.of("end")}

    @property
    def outcomes(self) -> dict[str, str]:
        return {check: end["outcome"] for check, end in self.ends.items()}

    @property
    def complete(self) -> bool:
        count = len(self.collected)
        footer = self.records[-1]
        return (self.status, footer.get("checks"), footer.get("ended")) == (0, count, count)


def lay(folder: Path, files: Mapping[str, str], cell: Mapping[str, object]) -> list[str]:
    """Lay a cell into a folder; return the command that runs it."""
    (folder / "checks").mkdir()
    (folder / "results").mkdir()
    for name, text in files.items():
        path = folder / "checks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (folder / "cell.json").write_text(json.dumps({**CELL, **cell}))
    return [INTERPRETER, str(HARNESS / "supervise.py"), str(folder / "cell.json")]


def supervise(
    folder: Path,
    files: Mapping[str, str] | str,
    environment: Mapping[str, str] | None = None,
    **cell: object,
) -> Told:
    """Run the supervisor over checks; each line that it leaves must be of a bounded size."""
    named = {"test_it.py": files} if isinstance(files, str) else files
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PY")}
    done = subprocess.run(
        lay(folder, named, cell),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd=folder,
        env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        timeout=PATIENCE,
    )
    results = folder / "results" / "results.jsonl"
    raw = results.read_bytes() if results.exists() else b""
    assert all(len(line) < 64 * 1024 for line in raw.splitlines())
    return Told(status=done.returncode, log=done.stdout.decode(errors="replace"), raw=raw)


def install(folder: Path, modules: Mapping[str, str]) -> dict[str, str]:
    """Make distributions of version 2.0 out of module texts; return the environment for them."""
    folder.mkdir()
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        metadata = folder / f"{name}-2.0.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.title()}\nVersion: 2.0\n")
    return {"PYTHONPATH": str(folder)}


# Helpers beside the checks

WITH_HELPERS = {
    "tests/helpers.py": "ANSWER = 42\n",
    "tests/conftest.py": "import helpers\n",
    "tests/test_top.py": """
        import helpers
        from tests.helpers import ANSWER

        def test_top():
            assert ANSWER == helpers.ANSWER == 42
    """,
    "tests/unit/deeper.py": "DEPTH = 2\n",
    "tests/unit/test_deep.py": """
        import deeper
        import helpers
        from tests.unit.deeper import DEPTH

        def test_deep():
            assert DEPTH == deeper.DEPTH
    """,
}
PACKAGE = {"tests/__init__.py": "", "tests/unit/__init__.py": ""}
RELATIVE = {
    "tests/unit/test_deep.py": """
        from ..helpers import ANSWER
        from .deeper import DEPTH
        from tests import helpers

        def test_deep():
            assert (ANSWER, DEPTH) == (helpers.ANSWER, 2)
    """
}


@pytest.mark.parametrize("files", [WITH_HELPERS, WITH_HELPERS | PACKAGE | RELATIVE])
def test_a_suite_imports_its_helpers(tmp_path: Path, files: Mapping[str, str]) -> None:
    told = supervise(tmp_path, files, builtin=False, package="tests")
    assert told.outcomes == {
        "test_top.py::test_top": "passed",
        "unit/test_deep.py::test_deep": "passed",
    }, told.log


def test_a_suite_is_found_before_what_a_wheel_installs_under_its_name(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {"tests": "WRONG = 1"})
    told = supervise(
        tmp_path, WITH_HELPERS | PACKAGE | RELATIVE, environment, builtin=False, package="tests"
    )
    assert set(told.outcomes.values()) == {"passed"}, told.log


# The command `check` in a shell

MANY = """
    import pytest

    def test_passes(cell, device, metric):
        assert cell.cell == "py3-cpu"

    @pytest.mark.parametrize("number", [1, 2])
    def test_fails(number):
        print("said by the check")
        assert number == 0, "it is not zero"
"""


def check(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [INTERPRETER, str(folder / "harness/check.py"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=folder
    )


def test_checks_are_run_in_a_shell_again_and_again(tmp_path: Path) -> None:
    lay(tmp_path, {"test_it.py": MANY}, {"only": ["test_it.py::test_passes"]})
    shutil.copytree(HARNESS, tmp_path / "harness")

    for _ in range(2):
        done = check(tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-2:] == ["", "passed  test_it.py::test_passes"]
    failed = check(tmp_path, "test_it.py::test_fails", "*passes")
    assert failed.returncode == 1
    assert "said by the check" in failed.stdout
    assert (
        "failed  test_it.py::test_fails[1]\n"
        "    it is not zero\n"
        "failed  test_it.py::test_fails[2]\n"
        "    it is not zero\n"
    ) in failed.stdout
    assert failed.stdout.splitlines()[-1] == "passed  test_it.py::test_passes"
    nothing = check(tmp_path, "nothing")
    assert nothing.returncode == 2
    assert nothing.stdout.splitlines()[-1] == "No check matches nothing."
    assert "Traceback" not in done.stderr + failed.stderr + nothing.stderr
    assert list((tmp_path / "results").iterdir()) == []


def test_the_command_says_how_it_is_used(tmp_path: Path) -> None:
    lay(tmp_path, {}, {})
    shutil.copytree(HARNESS, tmp_path / "harness")
    done = check(tmp_path, "--help")
    assert done.stdout.startswith("Usage: check [CHECK...]")


# What the log's last line counts


def test_the_log_ends_with_the_number_of_checks(tmp_path: Path) -> None:
    told = supervise(
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
    assert told.complete
    lines = told.log.splitlines()
    assert lines[-1] == "matrixci: 1 crashed, 1 failed, 2 passed"
    assert not [line for line in lines[:-1] if " passed" in line and "::" not in line]


def test_checks_that_never_ran_are_counted(tmp_path: Path) -> None:
    told = supervise(tmp_path, "def test_a(): pass\n", only=["test_it.py::test_b"])
    assert told.log.splitlines()[-1] == "matrixci: 1 not finished"


# Failures for the lack of a network

HINT = "The sandbox has no network: nothing outside the container can be reached."
OFFLINE = """
    import errno
    import os
    import socket
    import subprocess
    import sys
    import pytest

    def lookup():
        raise socket.gaierror(socket.EAI_AGAIN, "in a language nobody reads")

    class Wrapped(Exception):
        pass

    def test_lookup():
        lookup()

    def test_wrapped():
        try:
            lookup()
        except OSError as error:
            raise Wrapped("no connection") from error

    def test_wrapped_without_a_cause():
        try:
            lookup()
        except OSError:
            raise Wrapped("no connection") from None

    def test_in_the_arguments():
        raise Wrapped(Wrapped(OSError(errno.ENETUNREACH, "unreachable")))

    def test_message_of_many_lines():
        try:
            lookup()
        except OSError:
            pytest.fail("one\\ntwo\\nthree\\nfour")

    def test_child():
        os.system("echo could not resolve host: example.org >&2")
        assert 0, "the child failed"

    def test_child_that_is_collected():
        script = "raise OSError(101, 'Network is unreachable')"
        done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
        assert "Error" not in done.stderr, "it failed"

    def test_crash():
        os.system("echo Temporary failure in name resolution >&2")
        os._exit(3)

    def test_another_error():
        '''It says network is unreachable in its source alone.'''
        raise OSError(errno.ECONNREFUSED, "nobody listens")

    def test_passes():
        with pytest.raises(OSError):
            lookup()

    def test_skips():
        try:
            lookup()
        except OSError:
            pytest.skip("offline")
"""


def test_failures_for_the_lack_of_a_network_say_so(tmp_path: Path) -> None:
    told = supervise(tmp_path, OFFLINE)
    messages = {
        check.partition("::test_")[2]: end["message"].splitlines()
        for check, end in told.ends.items()
    }
    assert {name for name, lines in messages.items() if HINT in lines} == {
        *("lookup", "wrapped", "wrapped_without_a_cause", "in_the_arguments"),
        *("message_of_many_lines", "child", "child_that_is_collected", "crash"),
    }
    assert messages["child"] == ["the child failed", HINT]
    assert messages["message_of_many_lines"] == ["one", HINT, "two", "three", "four"]
    assert all(lines.count(HINT) <= 1 for lines in messages.values())


def test_a_file_whose_import_needs_a_network_says_so(tmp_path: Path) -> None:
    source = "import socket\nraise socket.gaierror(-3, 'Temporary failure in name resolution')\n"
    told = supervise(tmp_path, source)
    assert told.ends["test_it.py"]["message"].splitlines()[-1] == HINT


# Outcomes of checks that leave their process alone

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
            print("not told")


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
def plain(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("plain")
    # Settings and plugins of the machine's, none of which may be read.
    ini = {"pytest.ini": "[pytest]\naddopts = --nothing\n"}
    environment = install(folder / "site", {"intruder": "raise ValueError"})
    points = folder / "site" / "intruder-2.0.dist-info" / "entry_points.txt"
    points.write_text("[pytest11]\nintruder = intruder\n")
    environment |= {"PYTEST_ADDOPTS": "--nothing", "PYTEST_PLUGINS": "nothing"}
    return supervise(folder, PLAIN | ini, environment)


def test_file_is_complete(plain: Told) -> None:
    assert plain.complete, plain.log
    kinds = list(dict.fromkeys(record["kind"] for record in plain.records))
    assert kinds == ["header", "attestation", "collected", "begin", "end", "footer"]
    assert len(plain.of("collected")) > 1
    assert all(record["at"].endswith("+00:00") for record in plain.records)
    header = plain.records[0]
    assert (header["nonce"], header["run"], header["cell"]) == ("abcd", "run-1", "py3-cpu")


def line_of_plain(text: str) -> int:
    """Return the line of the plain checks, from 1, that holds a text first."""
    return textwrap.dedent(PLAIN["test_plain.py"]).partition(text)[0].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "line"), [("broken", 1), ("syntax", 1), ("marker", 5), ("left_out", None)]
)
def test_line_at_which_a_file_cannot_be_imported(plain: Told, file: str, line: int | None) -> None:
    described = {check["id"]: check for check in plain.collected}

    assert described[f"test_{file}.py"]["line"] == line


def test_claims(plain: Told) -> None:
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
def test_plain_outcomes(plain: Told, check: str, outcome: str, says: str) -> None:
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
def test_skips_have_reasons(plain: Told, check: str, reason: str, need: str | None) -> None:
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
def test_files_that_cannot_be_imported_are_told(plain: Told, file: str, says: str) -> None:
    end = plain.ends[f"test_{file}.py"]

    assert end["outcome"] == "failed"
    assert says in end["message"]
    assert says in end["detail"]


def test_detail_holds_traceback_and_output(plain: Told) -> None:
    detail = plain.ends["test_plain.py::test_message"]["detail"]

    assert 'assert [1] == [2], "the lists differ"' in detail
    assert detail.endswith("--- output ---\nprinted before\nfrom a process of its own")
    twice = plain.ends["test_plain.py::test_fails_twice"]["detail"]
    assert "ValueError: in the middle" in twice
    assert "ValueError: after" in twice
    assert plain.ends["test_plain.py::test_passes"]["detail"] == ""


def test_metrics(plain: Told) -> None:
    assert plain.ends["test_plain.py::test_passes"]["metrics"]["load_seconds"] == 5.0
    for check, says in {
        "not_a_number": "ValueError: metric load_seconds is nan",
        "name_is_taken": "ValueError: metric seconds: ",
        "too_many_metrics": "ValueError: metric 199_seconds: ",
    }.items():
        refused = plain.ends[f"test_plain.py::test_{check}"]
        assert refused["outcome"] == "failed"
        assert refused["message"].startswith(says)


def test_long_texts_are_cut_in_the_middle(plain: Told) -> None:
    end = plain.ends["test_plain.py::test_long"]

    assert len(end["message"]) <= 4_000
    assert len(end["detail"]) <= 20_000
    assert "characters cut out" in end["message"]
    assert "characters cut out" in end["detail"]


def test_results_are_evidence(plain: Told) -> None:
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


# Checks that take their process down


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> Told:
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


def test_run_goes_on_after_each_death(deaths: Told) -> None:
    assert deaths.complete, deaths.log
    assert list(deaths.outcomes.values()) == ["passed", *["crashed"] * 5, "passed"]
    assert len(deaths.of("begin")) == 7


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("segfault", "SIGSEGV"),
        ("killed", "SIGKILL"),
        ("exits_0", "exit status 0 in the middle"),
        ("exits_3", "exit status 3"),
        ("leaves_pytest", "exit status 2"),
    ],
)
def test_reasons_of_deaths(deaths: Told, check: str, reason: str) -> None:
    end = deaths.ends[f"test_it.py::test_{check}"]

    assert end["reason"] == reason
    assert reason in end["message"]
    assert "seconds" in end["metrics"]


def test_crash_tells_where_and_what_was_printed(deaths: Told) -> None:
    end = deaths.ends["test_it.py::test_segfault"]

    assert 'at File "test_it.py", line 15 in test_segfault' in end["message"]
    assert "Fatal Python error: Segmentation fault" in end["detail"]
    assert end["detail"].endswith("--- output ---\nprinted before the crash")
    assert "another check" not in end["detail"]
    assert deaths.ends["test_it.py::test_exits_3"]["detail"] == "written to stderr"


def test_hang_is_killed_with_its_group(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.complete, told.log
    assert list(told.outcomes.values()) == ["timed-out", "passed"]
    end = told.ends["test_it.py::test_hangs"]
    assert end["reason"] == "after 1 s"
    assert 'at File "test_it.py", line 13 in test_hangs' in end["message"]
    assert "most recent call first" in end["detail"]
    assert end["detail"].endswith("--- output ---\nabout to hang")
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """Tell whether a process ended, be it reaped or not; wait a moment for it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_files_whose_import_takes_the_process_down(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.complete, told.log
    assert told.outcomes == {
        "test_exits.py": "crashed",
        "test_hangs.py": "timed-out",
        "test_leaves.py": "crashed",
        "test_segfaults.py": "crashed",
        "test_good.py::test_good": "passed",
    }
    assert told.ends["test_exits.py"]["reason"] == "exit status 7"
    assert told.ends["test_segfaults.py"]["reason"] == "SIGSEGV"
    assert 'at File "test_hangs.py", line 2 in <module>' in told.ends["test_hangs.py"]["message"]
    lines = {check["id"]: check["line"] for check in told.collected}
    assert (lines["test_hangs.py"], lines["test_segfaults.py"]) == (2, 2)
    assert lines["test_exits.py"] is None  # os._exit() leaves no stacks


def test_nothing_can_be_imported(tmp_path: Path) -> None:
    told = supervise(tmp_path, "import os\nos._exit(7)\n")

    assert told.complete, told.log
    assert told.outcomes == {"test_it.py": "crashed"}


def test_death_between_two_checks(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.complete, told.log
    assert list(told.outcomes.values()) == ["passed"] * 3
    assert "exit status 9 outside of any check" in told.log


def test_death_before_collection_comes_to_an_end(tmp_path: Path) -> None:
    told = supervise(
        tmp_path,
        {"conftest.py": "import os\nos._exit(9)\n", "test_it.py": "def test_1(): pass\n"},
    )

    assert told.status == 0
    assert told.of("collected") == []
    assert told.records[-1]["kind"] == "footer"
    assert "had begun nothing" in told.log


def test_broken_file_is_told_even_where_collection_never_ends(tmp_path: Path) -> None:
    told = supervise(
        tmp_path,
        {
            "conftest.py": "import os\ndef pytest_collection_modifyitems(): os._exit(9)\n",
            "test_a.py": "import os\nos._exit(7)\n",
            "test_b.py": "def test_1(): pass\n",
        },
    )

    assert told.complete, told.log
    assert told.outcomes == {"test_a.py": "crashed"}
    assert "had begun nothing" in told.log


def test_check_that_cannot_be_listed_is_not_left_out(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.status == 1
    assert told.of("footer") == []
    assert "2 checks were found, but 1 told in order" in told.log


def test_broken_off_collection_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.status == 0
    assert "test_b.py::test_1" not in told.outcomes
    assert told.of("begin") == []
    assert "RuntimeError: in the middle of the collection" in told.log


def test_slow_start_is_borne_and_a_hang_after_the_last_check_is_not(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.complete, told.log
    assert told.outcomes == {"test_it.py::test_1": "passed"}
    assert "pytest hung outside of any check" in told.log


# What a check may do to the supervisor


def test_flood_of_output(tmp_path: Path) -> None:
    told = supervise(
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

    assert told.complete, told.log[-2_000:]
    assert told.log.count("x") >= 50_000_000
    little = told.ends["test_it.py::test_prints_little"]["detail"]
    assert little.endswith("\n\n--- output ---\nlittle")
    much = told.ends["test_it.py::test_prints_much"]["detail"]
    assert much.endswith("y last")
    assert "are in the log alone" in much


def test_processes_left_behind_hold_nothing_up(tmp_path: Path) -> None:
    told = supervise(
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
    assert told.complete, told.log
    assert list(told.outcomes.values()) == ["passed"] * 3


def test_lines_of_a_check_are_not_believed(tmp_path: Path) -> None:
    told = supervise(
        tmp_path,
        '''
        import contextlib
        import json
        import os
        import stat


        def say(data):
            """Write to the harness's pipe, which is the one that is not the output."""
            output = os.fstat(1).st_ino
            for descriptor in range(3, 100):
                with contextlib.suppress(OSError):
                    told = os.fstat(descriptor)
                    while data and stat.S_ISFIFO(told.st_mode) and told.st_ino != output:
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

    assert told.complete, told.log
    # The end of the second was told on a line that something else stood on.
    assert told.outcomes == {"test_it.py::test_1": "failed", "test_it.py::test_2": "crashed"}
    assert told.ends["test_it.py::test_1"]["message"] == "as it is"
    assert told.log.count("matrixci: dropped a line") >= 15


def test_no_check_runs_before_its_begin_is_written(tmp_path: Path) -> None:
    # The supervisor is held up, and killed when the second check has long left its mark, unless it
    # waits: a second for its output to be read, and then for its begin.
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
    told = supervise(tmp_path, checks)
    assert not (tmp_path / "mark").exists()
    assert told.status == -signal.SIGKILL
    assert [begin["id"] for begin in told.of("begin")] == ["test_it.py::test_1"]


def test_supervisor_that_is_killed_leaves_no_footer(tmp_path: Path) -> None:
    told = supervise(
        tmp_path, "import os\ndef test_1(): os.kill(os.getppid(), 9)\ndef test_2(): pass\n"
    )

    assert told.status == -signal.SIGKILL
    assert told.of("footer") == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_supervisor_that_is_stopped(tmp_path: Path, number: signal.Signals, status: int) -> None:
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
    command = lay(tmp_path, {"test_it.py": checks}, {})

    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(PATIENCE) == status

    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[-1] == "begin"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_results_of_another_start_are_left_alone(tmp_path: Path) -> None:
    command = lay(tmp_path, {}, {})
    (tmp_path / "results/results.jsonl").write_text("of another\n")

    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)

    assert done.returncode == 1
    assert b"is there already" in done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "results/results.jsonl").read_text() == "of another\n"


# Orders


def test_zero_checks(tmp_path: Path) -> None:
    told = supervise(tmp_path, {"helper.py": ""})

    assert told.complete, told.log
    assert [record["checks"] for record in told.of("collected")] == [[]]


THREE = {
    "test_a.py": "def test_1(): pass\ndef test_2(): pass\n",
    "test_b.py": "def test_1(): pass\n",
    "test_c.py": "import nothing_of_this_name\n",
}


def test_only_what_is_named_runs_and_what_is_not_there_is_listed(tmp_path: Path) -> None:
    told = supervise(tmp_path, THREE, only=["test_a.py::test_2", "test_a.py::test_9"])

    assert told.outcomes == {"test_a.py::test_2": "passed"}
    assert {check["id"] for check in told.collected} == {"test_a.py::test_2", "test_a.py::test_9"}
    assert told.status == 0


def test_select(tmp_path: Path) -> None:
    told = supervise(tmp_path, THREE, select="test_2 or test_b.py")

    assert told.complete, told.log
    assert told.outcomes == {
        "test_a.py::test_2": "passed",
        "test_b.py::test_1": "passed",
        "test_c.py": "failed",
    }


def test_select_that_is_no_expression(tmp_path: Path) -> None:
    told = supervise(tmp_path, THREE, select="or or")

    assert told.of("collected") == []


# Attestation


TORCH = """
__version__ = "2.0+cu130"
class version:
    cuda = "13.0"
class cuda:
    device_count = lambda: 2
    is_available = lambda: True
"""
DEVICE = """
def test_device(device):
    assert device == "cuda"
"""


def test_attestation(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {"numpy": '__version__ = "2.0"', "torch": TORCH})

    told = supervise(tmp_path, DEVICE, environment, device="cuda")

    attested = told.of("attestation")[0]
    assert attested["distributions"]["numpy"] == "2.0"
    assert attested["modules"] == {"numpy": "2.0", "torch": "2.0+cu130"}
    assert (attested["torch_cuda"], attested["gpus"]) == ("13.0", 2)
    assert told.outcomes == {"test_it.py::test_device": "passed"}


ONCE_MORE = """
    import os
    import pathlib
    import pytest

    RUNS = pathlib.Path({runs!r})

    def nth(name):
        with (RUNS / name).open("a") as file:
            file.write("x")
        return len((RUNS / name).read_text())

    def test_passes():
        assert nth("passes") == 1

    def test_flaky():
        assert nth("flaky") == 2

    def test_fails():
        nth("fails")
        raise AssertionError

    def test_known():
        nth("known")
        raise AssertionError

    def test_dies_once():
        if nth("dies") == 1:
            os._exit(3)

    @pytest.mark.parametrize("one", ["a", "b"])
    def test_each(one):
        assert nth(one) == (2 if one == "a" else 1)
"""


def ran_again(folder: Path, **cell: object) -> tuple[Told, dict[str, str | None], dict[str, int]]:
    """Return what was told, what came of the second runs, and how often each check ran."""
    (folder / "runs").mkdir()
    text = ONCE_MORE.format(runs=str(folder / "runs"))
    told = supervise(folder, text, None, **cell)
    again = {one["id"].partition("::")[2]: one["outcome"] for one in told.of("again")}
    return told, again, {file.name: len(file.read_text()) for file in (folder / "runs").iterdir()}


def test_what_failed_is_run_once_more_alone(tmp_path: Path) -> None:
    limits = {**CELL["limits"], "reruns": 10, "cell_seconds": 3600}
    told, again, ran = ran_again(tmp_path, limits=limits, known=["test_it.py::test_kno*"])

    assert told.complete
    assert again == {
        "test_flaky": "passed",
        "test_fails": "failed",
        "test_dies_once": "passed",
        "test_each[a]": "passed",
    }
    assert ran == {"passes": 1, "flaky": 2, "fails": 2, "known": 1, "dies": 2, "a": 2, "b": 1}
    assert told.outcomes["test_it.py::test_dies_once"] == "crashed"  # the first run stands


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"reruns": 3}, "5 checks failed, more than the 3 that would be run again"),
        ({"reruns": 0}, ""),
        ({}, ""),
    ],
)
def test_what_is_not_run_again(tmp_path: Path, limits: dict[str, object], says: str) -> None:
    told, again, ran = ran_again(tmp_path, limits={**CELL["limits"], **limits})

    assert told.complete
    assert again == {}
    assert set(ran.values()) == {1}
    assert says in told.log


def test_a_short_limit_leaves_time_for_a_second_run(tmp_path: Path) -> None:
    limits = {**CELL["limits"], "reruns": 10, "cell_seconds": 120}  # less than the start's limit
    told, again, _ = ran_again(tmp_path, limits=limits)

    assert told.complete
    assert again["test_flaky"] == "passed"


def test_what_no_time_is_left_for_is_recorded(tmp_path: Path) -> None:
    told, again, ran = ran_again(
        tmp_path, limits={**CELL["limits"], "reruns": 10, "cell_seconds": 5}
    )

    assert told.complete
    assert set(again.values()) == {None}
    assert len(again) == 5
    assert set(ran.values()) == {1}


def test_cuda_cell_without_a_gpu(tmp_path: Path) -> None:
    told = supervise(tmp_path, DEVICE, device="cuda")

    end = told.ends["test_it.py::test_device"]
    assert (end["outcome"], end["reason"], end["need"]) == ("skipped", "no GPU", "gpu")


@pytest.mark.parametrize(
    ("modules", "imported"),
    [
        pytest.param(
            {"numpy": "import sys; sys.exit()", "torch": TORCH},
            {"numpy": None, "torch": "2.0+cu130"},
            id="exit",
        ),
        pytest.param(
            {"numpy": "import os; os.kill(os.getpid(), 11)", "torch": TORCH},
            {"numpy": None, "torch": None},
            id="segfault",
        ),
        pytest.param(
            {"numpy": "import os, sys; os.write(int(sys.argv[1]), b'{}\\n[1]\\n'); os._exit(0)"},
            {"numpy": None},
            id="garbage",
        ),
        pytest.param(
            {"numpy": "import time; time.sleep(600)"},
            {"numpy": None},
            id="hang",
        ),
    ],
)
def test_modules_that_cannot_be_imported(
    tmp_path: Path, modules: dict[str, str], imported: dict[str, str | None]
) -> None:
    environment = install(tmp_path / "site", modules)
    limits = {"check_seconds": 30, "start_seconds": 2 if "sleep" in modules["numpy"] else 30}

    told = supervise(tmp_path, "def test_1(): pass\n", environment, limits=limits)

    assert told.status == 0
    attested = told.of("attestation")[0]
    assert {name: attested["distributions"][name] for name in modules} == dict.fromkeys(
        modules, "2.0"
    )
    assert attested["modules"] == imported


def test_nothing_attested(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {})
    (tmp_path / "site" / "platform.py").write_text("raise SystemExit(1)")

    told = supervise(tmp_path, "def test_1(): pass\n", environment)

    assert told.of("attestation") == []
    assert "nothing was attested" in told.log


# A user's own suite, by pytest's own rules

SUITE = """
    import unittest
    import pytest

    @pytest.mark.xfail(reason="not mended")
    def test_lax():
        raise AssertionError("as expected")

    @pytest.mark.xfail(strict=True, reason="owner/name#1")
    def test_strict():
        raise AssertionError

    @pytest.mark.xfail(reason="not mended")
    def test_lax_passes():
        pass

    @pytest.mark.xfail(strict=True, reason="mended")
    def test_strict_passes():
        pass

    def test_imperative():
        pytest.xfail("by hand")

    @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.xfail(reason="two"))])
    def test_param(n):
        assert n == 1

    @pytest.mark.xfail(raises=KeyError, reason="of another type")
    def test_other_exception():
        raise ValueError("new")

    @pytest.mark.xfail(run=False, reason="it hangs")
    def test_not_run():
        raise SystemExit

    @pytest.mark.own_marker
    def test_unknown_marker():
        pass

    @pytest.fixture
    def broken():
        yield
        raise ValueError("after")

    @pytest.mark.xfail(reason="the call alone")
    def test_teardown_fails(broken):
        pass

    class TestUnit(unittest.TestCase):
        @unittest.expectedFailure
        def test_expected(self):
            self.fail("as expected")

        @unittest.expectedFailure
        def test_unexpected(self):
            pass
"""


def test_a_suite_has_its_expected_failures(tmp_path: Path) -> None:
    told = supervise(tmp_path, SUITE, builtin=False)

    assert told.complete
    found = {check.partition("::")[2]: end for check, end in told.ends.items()}
    assert {check: (end["outcome"], end["reason"]) for check, end in found.items()} == {
        "test_lax": ("known-issue", "xfail: not mended"),
        "test_strict": ("known-issue", "xfail: owner/name#1"),
        "test_lax_passes": ("passed", "passed, although marked xfail: not mended"),
        "test_strict_passes": ("failed", ""),
        "test_imperative": ("known-issue", "xfail: by hand"),
        "test_param[1]": ("passed", ""),
        "test_param[2]": ("known-issue", "xfail: two"),
        "test_other_exception": ("failed", ""),
        "test_not_run": ("known-issue", "xfail: [NOTRUN] it hangs"),
        "test_unknown_marker": ("passed", ""),
        "test_teardown_fails": ("known-issue", "xfail: the call alone"),
        "TestUnit::test_expected": ("known-issue", "xfail: no reason given"),
        "TestUnit::test_unexpected": ("failed", ""),
    }
    assert "XPASS(strict)" in found["test_strict_passes"]["message"]
    assert found["test_lax"]["message"] == "as expected"
    assert 'raise AssertionError("as expected")' in found["test_lax"]["detail"]
    assert found["test_imperative"]["message"] == ""


FAILS_BEFORE_WHAT_IS_EXPECTED = """
    import pytest

    @pytest.fixture
    def broken():
        yield
        raise ValueError("after")

    @pytest.mark.xfail(raises=ValueError, reason="of the teardown")
    def test_call_fails_otherwise(broken):
        raise TypeError("new")

    @pytest.mark.xfail(raises=ValueError, reason="of the call")
    def test_teardown_fails_otherwise(other):
        raise ValueError("as expected")

    @pytest.fixture
    def other():
        yield
        raise TypeError("new")
"""


def test_an_expected_failure_hides_no_other_of_the_same_check(tmp_path: Path) -> None:
    told = supervise(tmp_path, FAILS_BEFORE_WHAT_IS_EXPECTED, builtin=False)

    assert told.complete
    assert {end["outcome"] for end in told.ends.values()} == {"failed"}
    assert {end["message"] for end in told.ends.values()} == {"TypeError: new"}


def test_expected_failures_are_not_run_again(tmp_path: Path) -> None:
    expected = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    told = supervise(tmp_path, expected, builtin=False, limits={"check_seconds": 30, "reruns": 5})

    assert told.complete
    assert told.of("again") == []


PLUGIN = {
    "own_plugin.py": "import pytest\n\n@pytest.fixture\ndef own():\n    return 42\n",
    "own_plugin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-plugin\nVersion: 1.0\n",
    "own_plugin-1.0.dist-info/entry_points.txt": "[pytest11]\nown = own_plugin\n",
}


@pytest.mark.parametrize(("builtin", "outcome"), [(False, "passed"), (True, "failed")])
def test_a_suite_has_the_plugins_that_are_installed(
    tmp_path: Path, *, builtin: bool, outcome: str
) -> None:
    installed = tmp_path / "installed"
    for name, text in PLUGIN.items():
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(text)
    told = supervise(
        tmp_path,
        "def test_it(own):\n    assert own == 42\n",
        environment={"PYTHONPATH": str(installed)},
        builtin=builtin,
    )

    assert told.outcomes == {"test_it.py::test_it": outcome}


def test_the_home_folder_is_there(tmp_path: Path) -> None:
    told = supervise(
        tmp_path,
        "from pathlib import Path\n\ndef test_it():\n    (Path.home() / 'file').write_text('x')\n",
        environment={"HOME": str(tmp_path / "not/yet")},
    )

    assert told.outcomes == {"test_it.py::test_it": "passed"}


@pytest.mark.parametrize(
    ("select", "ran"),
    [
        ("test_it.py::test_a", ["test_a"]),
        ("test_it.py::test_each", ["test_each[a b]", "test_each[c]"]),
        ("test_it.py::test_each[a b]", ["test_each[a b]"]),
        ("*::TestC::*", ["TestC::test_in"]),
        ("test_ab or test_in", ["test_ab", "TestC::test_in"]),
        ("test_it.py::test_", []),
    ],
)
def test_checks_are_selected_by_id_glob_or_words(
    tmp_path: Path, select: str, ran: list[str]
) -> None:
    checks = """
        import pytest

        def test_a(): ...
        def test_ab(): ...

        @pytest.mark.parametrize("n", ["a b", "c"])
        def test_each(n): ...

        class TestC:
            def test_in(self): ...
    """
    told = supervise(tmp_path, checks, select=select)

    assert [check.partition("::")[2] for check in told.ends] == ran


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    told = supervise(tmp_path, example, device="cuda", lock={"pytest": pytest.__version__})

    assert list(told.outcomes.values()) == ["passed", "passed", "skipped"]
    assert [check["severity"] for check in told.collected] == ["error", "warning", "error"]
    assert told.collected[0]["reference"] == "pytest-dev/pytest#1"
    assert "metadata_seconds" in told.ends["test_it.py::test_metadata_is_read_quickly"]["metrics"]


def test_the_documentation_names_every_marker_and_fixture(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = supervise(tmp_path, "def test(cell):\n    assert 0, ' '.join(vars(cell))\n")
    named = told.ends["test_it.py::test"]["message"].split()

    assert {"axes", "lock", "subject"} <= {*named}
    inner = {"schema", "nonce", "builtin", "select", "only", "limits", "known"}
    assert [name for name in named if name not in inner and f"`{name}`" not in page] == []


def test_a_copy_that_comes_back_from_a_fork_runs_no_other_check(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    told = supervise(
        tmp_path,
        f"""
        import os

        def test_forks():
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0

        def test_counts():
            with open({str(counted)!r}, "a") as file:
                file.write("once")
        """,
    )

    assert list(told.outcomes.values()) == ["passed", "passed"]
    assert counted.read_text() == "once"
