"""Words that mean a run, wherever a run can be named."""

from pathlib import Path

import pytest
from command_line import run_command
from factories import a_cell, a_check, a_result, a_run

from matrixci.errors import ExitCode, UsageError
from matrixci.history.run_names import default_baseline, named_baseline, named_run
from matrixci.model import CellOutcome, CheckOutcome, Reason, Subject
from matrixci.runs.folder import RunFolder

IDS = [f"2026110{day}T100000Z-abc123" for day in range(1, 6)]


def stored(work_dir: Path, day: int, *, good: bool, **fields: object) -> None:
    run = IDS[day - 1]
    outcome = CellOutcome.PASSED if good else CellOutcome.FAILED
    check = a_check(outcome=CheckOutcome.PASSED if good else CheckOutcome.FAILED)
    folder = RunFolder.create(work_dir, run)
    began = f"2026-11-0{day}T10:00:00Z"
    folder.write_run(a_run([a_cell()], **{"id": run, "began": began, "ended": began, **fields}))
    reason = None if good else Reason.CHECKS
    folder.write_cell(a_result(a_cell(), outcome, [check], reason=reason, run=run))
    folder.point_latest()


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """Return a work_dir with four runs: green, green, red, red."""
    work_dir = tmp_path / ".matrixci"
    for day, good in enumerate((True, True, False, False), start=1):
        stored(work_dir, day, good=good)
    return work_dir


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((None, 4), ("latest", 4), ("latest~0", 4), ("latest~1", 3), ("latest~3", 1)),
        *(("previous", 3), ("last-green", 2), ("20261101", 1)),
    ],
)
def test_names_of_runs(work_dir: Path, name: str | None, found: int) -> None:
    assert named_run(work_dir, name).resolve().name == IDS[found - 1]


@pytest.mark.parametrize(
    ("name", "of", "found"),
    [("previous", 3, 2), ("last-green", 4, 2), ("last-green", 2, 1), ("latest~1", 2, 3)],
)
def test_a_baseline_is_earlier_than_its_run(work_dir: Path, name: str, of: int, found: int) -> None:
    baseline = named_baseline(work_dir, name, work_dir / "runs" / IDS[of - 1])
    assert baseline.name == IDS[found - 1]


@pytest.mark.parametrize("name", ["latest~4", "latest~999999"])
def test_a_name_beyond_the_first_run_is_an_error_that_lists_runs(work_dir: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there are 3 runs before") as caught:
        named_run(work_dir, name)
    assert all(run in str(caught.value) for run in IDS[:4])


def test_last_green_without_a_green_run_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path, 1, good=False)
    with pytest.raises(UsageError, match=f"no run of this subject is READY. Runs: {IDS[0]}"):
        named_run(tmp_path, "last-green")
    assert default_baseline(tmp_path, tmp_path / "runs" / IDS[0]) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": Subject(name="other", spec="other", requirement="other")},
        {"interrupted": True},
        {"check_filter": "one"},
        {"axes": {"python": ("3.12",), "mode": ("a",)}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_run_of_another_subject_or_matrix_is_not_last_green(
    work_dir: Path, fields: dict[str, object]
) -> None:
    stored(work_dir, 5, good=True)
    stored_run = work_dir / "runs" / IDS[4] / "run.json"
    run = a_run([a_cell()], **{"id": IDS[4], "began": "2026-11-05T10:00:00Z", **fields})
    stored_run.write_text(run.model_dump_json())
    RunFolder(work_dir / "runs" / IDS[3]).point_latest()
    (work_dir / "runs" / IDS[1] / "run.json").write_text(
        stored_run.read_text().replace(IDS[4], IDS[1])
    )
    assert named_run(work_dir, "last-green").name == IDS[0]


def test_a_damaged_earlier_run_is_skipped(work_dir: Path) -> None:
    (work_dir / "runs" / IDS[1] / "run.json").write_text("{")
    assert named_run(work_dir, "last-green").name == IDS[0]


def test_a_damaged_run_is_an_error_if_it_is_the_run_itself(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (work_dir / "runs" / IDS[3] / "run.json").write_text("{")
    for words in (("readiness",), ("show", "last-green")):
        done = run_command(monkeypatch, capsys, work_dir.parent, *words)
        assert f"{IDS[3]}/run.json: " in done.err


def test_readiness_compares_with_the_last_green_run(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_command(monkeypatch, capsys, work_dir.parent, "readiness", "--format", "json")
    assert f"baseline: {IDS[1]}, the last green run" in done.err
    assert done.code == ExitCode.FAILURES
    for given, message in (("none", ""), ("latest~1", ""), (IDS[0], "")):
        words = ("readiness", "--format", "json", "--baseline", given)
        assert run_command(monkeypatch, capsys, work_dir.parent, *words).err == message


def test_fail_on_regression_ignores_failures_of_the_baseline(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("readiness", "--format", "json", "--fail-on", "regression", "--baseline")
    as_red = run_command(monkeypatch, capsys, work_dir.parent, *words, "previous")
    assert (as_red.code, "NOT READY" in as_red.out) == (ExitCode.READY, True)
    worse = run_command(monkeypatch, capsys, work_dir.parent, *words, "last-green")
    assert worse.code == ExitCode.FAILURES
    alone = run_command(monkeypatch, capsys, work_dir.parent, *words, "none")
    assert alone.code == ExitCode.FAILURES  # with nothing to compare with, every failure counts


@pytest.mark.parametrize(
    "words", [("show",), ("compare", "last-green"), ("constraints", "*", "--out", "c", "--run")]
)
def test_commands_accept_names_of_runs(
    work_dir: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = run_command(monkeypatch, capsys, work_dir.parent, *words, "latest~9")
    assert (done.code, "No run 'latest~9'" in done.err) == (ExitCode.USAGE, True)


def test_all_runs_are_added_to_the_history(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(work_dir, 5, good=True, interrupted=True)
    done = run_command(monkeypatch, capsys, work_dir.parent, "history", "add", "--all")
    assert done.out.splitlines() == [
        *(f"{run}: added" for run in IDS[:4]),
        f"{IDS[4]}: skipped, it is not finished",
    ]
    (work_dir / "runs" / IDS[0] / "run.json").write_text("{")
    done = run_command(monkeypatch, capsys, work_dir.parent, "history", "add", "--all")
    assert f"{IDS[0]}: skipped" in done.out
    assert done.out.count("unchanged") == 3
    assert (
        run_command(monkeypatch, capsys, work_dir.parent, "history", "add", "--all", "x").code == 2
    )
