import shutil
import subprocess
from pathlib import Path

from harness_runs import HARNESS, INTERPRETER, TIMEOUT, write_cell

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
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT, cwd=folder
    )


def test_checks_can_be_run_repeatedly_in_a_shell(tmp_path: Path) -> None:
    write_cell(tmp_path, {"test_it.py": MANY}, {"only": ["test_it.py::test_passes"]})
    shutil.copytree(HARNESS, tmp_path / "harness")

    first, second = check(tmp_path), check(tmp_path)
    for done in (first, second):
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
    assert "Traceback" not in second.stderr + failed.stderr + nothing.stderr
    assert list((tmp_path / "results").iterdir()) == []


def test_command_prints_its_usage(tmp_path: Path) -> None:
    write_cell(tmp_path, {}, {})
    shutil.copytree(HARNESS, tmp_path / "harness")
    done = check(tmp_path, "--help")
    assert done.stdout.startswith("Usage: check [CHECK...]")
