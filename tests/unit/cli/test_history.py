from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Done, run_command
from factories import a_cell, a_check, a_lock, a_result, a_run

from matrixci.errors import ExitCode
from matrixci.model import CellOutcome, CheckOutcome, Reason
from matrixci.runs.folder import RunFolder

CELL = a_cell().id
CHECK = "test_a.py::test_one"
Command = Callable[..., Done]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return lambda *arguments: run_command(monkeypatch, capsys, tmp_path, "history", *arguments)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Return the ids of three runs that are stored: green, red, red."""
    ids = []
    for day, torch in enumerate(("2.14.1", "2.15.0", "2.15.0"), start=1):
        ids.append(f"2026110{day}T100000Z-abc123")
        good = day == 1
        check = a_check(
            CHECK,
            CheckOutcome.PASSED if good else CheckOutcome.FAILED,
            metrics={"seconds": 1.0, "import_seconds": 4.0012 + day},
        )
        result = a_result(
            outcome=CellOutcome.PASSED if good else CellOutcome.FAILED,
            checks=[check],
            reason=None if good else Reason.CHECKS,
            run=ids[-1],
            lock=a_lock({"transformers": "5.23.0", "torch": torch}, digest=torch),
        )
        folder = RunFolder.create(tmp_path / ".matrixci", ids[-1])
        folder.write_run(a_run(id=ids[-1], began=f"2026-11-0{day}T10:00:00Z"))
        folder.write_cell(result)
        folder.point_latest()
    return ids


def test_runs_are_added_and_listed(command: Command, runs: list[str], tmp_path: Path) -> None:
    assert command("add").out == f"{runs[2]}: added\n"
    done = command("add", *runs)
    assert done.code == ExitCode.READY
    assert done.out.splitlines() == [
        f"{runs[0]}: added",
        f"{runs[1]}: added",
        f"{runs[2]}: unchanged",
    ]
    assert (tmp_path / ".matrixci/history.sqlite").is_file()
    listed = command("list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["run", *runs]
    assert listed[1].split()[1:] == [
        *("2026-11-01", "10:00", "transformers", "5.23.0", "1", "READY"),
    ]
    assert len(command("list", "--subject", "other").out.splitlines()) == 1


def test_history_shows_since_when_a_cell_is_red_and_what_changed(
    command: Command, runs: list[str]
) -> None:
    command("add", *runs)
    (line,) = command("show").out.splitlines()[1:]
    assert line.split() == [
        *(CELL, "✗", "failed", "2026-11-02", runs[1], "2", "2026-11-01", "✓✗✗"),
    ]
    story = command("show", CELL).out.splitlines()
    assert story[:4] == [
        f"{CELL} · transformers",
        f"red since 2026-11-02 (run {runs[1]}), for 2 runs",
        f"last green on 2026-11-01 (run {runs[0]})",
        "packages changed since: torch 2.14.1 → 2.15.0",
    ]
    assert story[4] == f"  {runs[0]}  ✓ passed, transformers 5.23.0"
    assert story[5] == f"  {runs[1]}  ✗ failed (checks), transformers 5.23.0"
    assert command("show", "py3.*").out.splitlines()[:1] == story[:1]


def test_history_of_a_check_is_shown(command: Command, runs: list[str]) -> None:
    command("add", *runs)
    (line,) = command("show", "--check", "*test_one").out.splitlines()[1:]
    assert line.split()[:9] == [CHECK, CELL, "✗", "failed", "3", "1", "0", "0", "✓✗✗"]
    assert "import_seconds 5 → 7 (5 to 7)" in line
    assert "seconds 1," in line


def test_old_runs_are_pruned(command: Command, runs: list[str]) -> None:
    command("add", *runs)
    assert command("prune", "--before", "2026-11-02").out == "runs: 1 removed, 2 left\n"
    assert command("prune", "--keep", "1").out == "runs: 1 removed, 1 left\n"
    for arguments in ([], ["--keep", "1", "--before", "2026-11-02"]):
        done = command("prune", *arguments)
        assert done.code == ExitCode.USAGE
        assert "Give either --keep N or --before DATE." in done.err


def test_history_file_can_be_chosen(command: Command, runs: list[str], tmp_path: Path) -> None:
    command("add", runs[0], "--history", "elsewhere/h.sqlite")
    assert (tmp_path / "elsewhere/h.sqlite").is_file()
    assert runs[0] in command("list", "--history", "elsewhere/h.sqlite").out
    assert not (tmp_path / ".matrixci/history.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list"], ExitCode.USAGE, "matrixci history add"),
        (["show"], ExitCode.USAGE, "There is no history"),
        (["prune", "--keep", "1"], ExitCode.USAGE, "There is no history"),
        (["add", "nothing"], ExitCode.USAGE, "No run 'nothing', and no other runs in"),
    ],
)
def test_missing_run_or_history_is_reported(
    command: Command, arguments: list[str], code: ExitCode, message: str
) -> None:
    done = command(*arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


def test_unknown_cell_or_check_of_the_history_is_reported(
    command: Command, runs: list[str]
) -> None:
    command("add", *runs)
    done = command("show", "py9")
    assert done.code == ExitCode.USAGE
    assert f"Available cells: {CELL}" in done.err
    assert command("show", "--check", "nothing").code == ExitCode.USAGE


def test_damaged_history_is_set_aside_only_when_adding(
    command: Command, runs: list[str], tmp_path: Path
) -> None:
    file = tmp_path / ".matrixci/history.sqlite"
    file.write_text("garbage" * 1000, encoding="utf-8")
    for arguments in (["list"], ["show"], ["prune", "--keep", "1"]):
        done = command(*arguments)
        assert done.code == ExitCode.INFRASTRUCTURE
        assert "is damaged" in done.err
    done = command("add", *runs)
    assert done.code == ExitCode.READY
    assert "It was renamed to" in done.err
    assert done.out.splitlines() == [f"{run}: added" for run in runs]
    listed = command("list")
    assert listed.code == ExitCode.READY
    assert [run for run in runs if run in listed.out] == runs
