"""Tests of complete runs from the command line."""

import pytest
from toy import PASSING, Toy, checks_of

FAILING = {"test_toy.py": "def test_fails():\n    assert False\n"}


@pytest.mark.parametrize(
    ("checks", "status", "verdict"), [(PASSING, 0, "READY"), (FAILING, 1, "NOT READY")]
)
def test_exit_status_is_the_verdict(
    toy: Toy, checks: dict[str, str], status: int, verdict: str
) -> None:
    toy.write(checks)

    with toy.command() as command:
        assert command.end() == status

    toy.ended(toy.latest(), status)
    assert verdict in command.stdout.split("\n\n")[0]
    assert "Traceback" not in command.stderr


def test_unreachable_engine_is_reported_before_files_are_created(toy: Toy) -> None:
    toy.write(PASSING)

    with toy.command(DOCKER_HOST=f"unix://{toy.folder}/nothing") as command:
        assert command.end() == 3

    assert f"{toy.folder}/nothing" in command.stderr
    assert "Traceback" not in command.stderr
    assert not toy.work_dir.exists()


@pytest.mark.parametrize("select", ["test_toy.py::test_answer", "nothing and not this"])
def test_selection_without_checks_is_a_usage_error_and_creates_no_run(
    toy: Toy, select: str
) -> None:
    toy.write(PASSING)
    with toy.command(name="first-") as command:
        assert command.end() == 0
    before = toy.runs()

    with toy.command("--check", select) as command:
        assert command.end() == 2, command.stderr

    assert f"No check matches --check {select}" in command.stderr
    assert toy.runs() == before
    assert toy.latest() == before[-1]


def test_id_from_a_report_selects_the_check(toy: Toy) -> None:
    toy.write({"test_toy.py": "def test_one(): ...\n\n\ndef test_two():\n    assert False\n"})

    with toy.command("--check", "test_toy.py::test_one") as command:
        assert command.end() == 0, command.stderr

    (cell,) = toy.ended(toy.latest(), 0).stored.results.values()
    assert [check.id for check in cell.checks] == ["test_toy.py::test_one"]


EXPECTED = """
    import pytest

    def test_passes(): ...

    @pytest.fixture
    def late():
        yield
        raise AssertionError

    @pytest.mark.xfail(raises=AssertionError, reason="later")
    def test_expected(late):
        {0}
"""


@pytest.mark.parametrize(("call", "status"), [("pass", 0), ("raise TypeError", 1)])
def test_expected_failure_is_ready_and_hides_no_other_failure(
    toy: Toy, call: str, status: int
) -> None:
    toy.write({"test_toy.py": EXPECTED.format(call)})

    with toy.command() as command:
        assert command.end() == status, command.stdout

    (cell,) = toy.ended(toy.latest(), status).stored.results.values()
    outcome = "known-issue" if status == 0 else "failed"
    assert checks_of(cell) == {"test_passes": "passed", "test_expected": outcome}
