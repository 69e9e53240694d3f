import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness_runs import PAGE, install, supervise

# Helpers next to the checks

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
def test_suite_imports_its_helpers(tmp_path: Path, files: Mapping[str, str]) -> None:
    run = supervise(tmp_path, files, builtin=False, package="tests")
    assert run.outcomes == {
        "test_top.py::test_top": "passed",
        "unit/test_deep.py::test_deep": "passed",
    }, run.log


@pytest.mark.parametrize("module", ["network", "protocol", "selection"])
def test_suite_may_have_modules_named_like_those_of_the_harness(
    tmp_path: Path, module: str
) -> None:
    files = {
        f"tests/{module}.py": "ANSWER = 42\n",
        "tests/test_it.py": f"""
            import {module}

            def test_it():
                assert {module}.ANSWER == 42
        """,
    }
    run = supervise(tmp_path, files, builtin=False, package="tests")
    assert run.outcomes == {"test_it.py::test_it": "passed"}, run.log


def test_suite_shadows_an_installed_package_of_its_name(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {"tests": "WRONG = 1"})
    run = supervise(
        tmp_path, WITH_HELPERS | PACKAGE | RELATIVE, environment, builtin=False, package="tests"
    )
    assert set(run.outcomes.values()) == {"passed"}, run.log


# Selection


def test_zero_checks(tmp_path: Path) -> None:
    run = supervise(tmp_path, {"helper.py": ""})

    assert run.complete, run.log
    assert [record["checks"] for record in run.of("collected")] == [[]]


THREE = {
    "test_a.py": "def test_1(): pass\ndef test_2(): pass\n",
    "test_b.py": "def test_1(): pass\n",
    "test_c.py": "import nothing_of_this_name\n",
}


def test_requested_checks_that_do_not_exist_are_listed(tmp_path: Path) -> None:
    run = supervise(tmp_path, THREE, only=["test_a.py::test_2", "test_a.py::test_9"])

    assert run.outcomes == {"test_a.py::test_2": "passed"}
    assert {check["id"] for check in run.collected} == {"test_a.py::test_2", "test_a.py::test_9"}
    assert run.status == 0


def test_expression_selects_checks(tmp_path: Path) -> None:
    run = supervise(tmp_path, THREE, select="test_2 or test_b.py")

    assert run.complete, run.log
    assert run.outcomes == {
        "test_a.py::test_2": "passed",
        "test_b.py::test_1": "passed",
        "test_c.py": "failed",
    }


def test_invalid_expression_runs_no_check(tmp_path: Path) -> None:
    run = supervise(tmp_path, THREE, select="or or")

    assert run.of("collected") == []


# A user's own suite, with pytest's rules

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


def test_suite_may_expect_failures(tmp_path: Path) -> None:
    run = supervise(tmp_path, SUITE, builtin=False)

    assert run.complete
    found = {check.partition("::")[2]: end for check, end in run.ends.items()}
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


def test_expected_failure_hides_no_earlier_failure(tmp_path: Path) -> None:
    run = supervise(tmp_path, FAILS_BEFORE_WHAT_IS_EXPECTED, builtin=False)

    assert run.complete
    assert {end["outcome"] for end in run.ends.values()} == {"failed"}
    assert {end["message"] for end in run.ends.values()} == {"TypeError: new"}


def test_expected_failures_are_not_rerun(tmp_path: Path) -> None:
    expected = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    run = supervise(tmp_path, expected, builtin=False, limits={"check_seconds": 30, "reruns": 5})

    assert run.complete
    assert run.of("rerun") == []


PLUGIN = {
    "own_plugin.py": "import pytest\n\n@pytest.fixture\ndef own():\n    return 42\n",
    "own_plugin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-plugin\nVersion: 1.0\n",
    "own_plugin-1.0.dist-info/entry_points.txt": "[pytest11]\nown = own_plugin\n",
}


@pytest.mark.parametrize(("builtin", "outcome"), [(False, "passed"), (True, "failed")])
def test_suite_uses_installed_plugins(tmp_path: Path, *, builtin: bool, outcome: str) -> None:
    installed = tmp_path / "installed"
    for name, text in PLUGIN.items():
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(text)
    run = supervise(
        tmp_path,
        "def test_it(own):\n    assert own == 42\n",
        environment={"PYTHONPATH": str(installed)},
        builtin=builtin,
    )

    assert run.outcomes == {"test_it.py::test_it": outcome}


def test_home_folder_exists(tmp_path: Path) -> None:
    run = supervise(
        tmp_path,
        "from pathlib import Path\n\ndef test_it():\n    (Path.home() / 'file').write_text('x')\n",
        environment={"HOME": str(tmp_path / "not/yet")},
    )

    assert run.outcomes == {"test_it.py::test_it": "passed"}


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
def test_checks_are_selected_by_id_glob_or_expression(
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
    run = supervise(tmp_path, checks, select=select)

    assert [check.partition("::")[2] for check in run.ends] == ran


def test_documented_example_runs(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    run = supervise(tmp_path, example, device="cuda", lock={"pytest": pytest.__version__})

    assert list(run.outcomes.values()) == ["passed", "passed", "skipped"]
    assert [check["severity"] for check in run.collected] == ["error", "warning", "error"]
    assert run.collected[0]["reference"] == "pytest-dev/pytest#1"
    assert "metadata_seconds" in run.ends["test_it.py::test_metadata_is_read_quickly"]["metrics"]


def test_documentation_lists_every_marker_and_fixture(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    run = supervise(tmp_path, "def test(cell):\n    assert 0, ' '.join(vars(cell))\n")
    named = run.ends["test_it.py::test"]["message"].split()

    assert {"axes", "lock", "subject"} <= {*named}
    inner = {"schema", "nonce", "builtin", "select", "only", "limits", "known"}
    assert [name for name in named if name not in inner and f"`{name}`" not in page] == []


def test_fork_of_a_check_runs_no_other_check(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    run = supervise(
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

    assert list(run.outcomes.values()) == ["passed", "passed"]
    assert counted.read_text() == "once"
