import shlex
from pathlib import Path

import pytest
from cli_runs import Command, stored
from factories import RUN

from matrixci.errors import ExitCode
from matrixci.model import CellOutcome


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (CellOutcome.PASSED, ExitCode.READY),
        (CellOutcome.PARTIAL, ExitCode.READY),
        (CellOutcome.FAILED, ExitCode.FAILURES),
        (CellOutcome.UNSATISFIABLE, ExitCode.FAILURES),
        (CellOutcome.BLOCKED, ExitCode.FAILURES),
        (CellOutcome.ERROR, ExitCode.INFRASTRUCTURE),
        (CellOutcome.CANCELLED, ExitCode.FAILURES),
    ],
)
def test_showing_a_run_exits_as_the_run_did(
    command: Command, tmp_path: Path, outcome: CellOutcome, code: ExitCode
) -> None:
    stored(tmp_path / ".matrixci", outcome)
    done = command("show")
    assert done.code == code
    word = "passed" if outcome is CellOutcome.PARTIAL else str(outcome)
    assert any(word in line for line in done.out)
    assert done.err == []


def test_showing_an_interrupted_run_exits_as_it_did(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED, interrupted=True)
    assert command("show").code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("how", ["latest", "id", "beginning", "path"])
def test_run_can_be_named_in_several_ways(command: Command, tmp_path: Path, how: str) -> None:
    path = stored(tmp_path / "home", CellOutcome.PASSED)
    names = {"latest": [], "id": [RUN], "beginning": [RUN[:8]], "path": [str(path)]}
    done = command("show", "--work-dir", "home", *names[how])
    assert done.code == ExitCode.READY
    assert done.out[-1] == "READY  1 cell: 1 passed"


@pytest.mark.parametrize("name", [[], ["2026"], ["/no/such/folder"], ["*"]])
def test_unknown_run_is_reported(command: Command, name: list[str]) -> None:
    done = command("show", *name)
    assert done.code == ExitCode.USAGE
    message = "No runs yet" if not name else f"No run {name[0]!r}, and no other runs"
    assert done.err == [f"{message} in .matrixci/runs.", "Start one: matrixci matrix"]


def test_unreadable_run_is_reported(command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    (path / "run.json").write_text("{", encoding="utf-8")
    done = command("show")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert "run.json: " in done.err[0]


def test_run_without_results_is_not_ready(command: Command, tmp_path: Path) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    next(path.glob("cells/*")).unlink()
    assert command("show").code == ExitCode.INFRASTRUCTURE


def test_table_can_be_written_as_svg(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED, CellOutcome.FAILED)
    done = command("show", "--svg", "deep/table.svg")
    picture = (tmp_path / "deep/table.svg").read_text(encoding="utf-8")
    assert done.code == ExitCode.FAILURES
    assert any("✗" in line for line in done.out)
    assert picture.startswith("<svg")
    assert "✗" in picture
    assert "matrixci" in picture
    assert "@font-face" not in picture


def test_unwritable_svg_is_reported(command: Command, tmp_path: Path) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.PASSED)
    (tmp_path / "in-the-way").touch()
    done = command("show", "--svg", "in-the-way/table.svg")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert "table.svg cannot be written: " in done.err[-1]


def test_reproduce_command_is_not_folded_without_a_terminal(
    command: Command, tmp_path: Path
) -> None:
    stored(tmp_path / ".matrixci", CellOutcome.FAILED)
    folder = tmp_path / ".matrixci/runs" / RUN / "run.json"
    long = "transformers @ git+https://host.example/" + "x" * 200
    text = folder.read_text(encoding="utf-8").replace('"spec": "transformers"', f'"spec": "{long}"')
    folder.write_text(text, encoding="utf-8")
    (line,) = (line for line in command("show").out if "reproduce: " in line)
    assert long in shlex.split(line)
