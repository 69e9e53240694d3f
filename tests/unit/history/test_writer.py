"""Finished runs are added to the history without being asked; a fault of it is a warning."""

import sqlite3
from pathlib import Path

import pytest
from command_line import run_command
from factories import a_result, a_run

from matrixci.errors import ExitCode
from matrixci.execution import execute as running
from matrixci.execution.settings import Settings
from matrixci.history.store import History
from matrixci.history.writer import record
from matrixci.runs.folder import RunFolder
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder

RUN = a_run().id


def judged(work_dir: Path, *, results: bool = True, **fields: object) -> JudgedRun:
    """Return a stored run, judged."""
    folder = RunFolder.create(work_dir, RUN)
    folder.write_run(a_run(None, **{"ended": "2026-11-01T11:00:00Z", **fields}))
    if results:
        folder.write_cell(a_result())
    return judge_folder(folder.path)


def runs_in(path: Path) -> list[str]:
    with History.reading(path) as opened:
        return [run.id for run in opened.runs()]


def test_a_finished_run_is_added_once(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "history.sqlite"
    run = judged(tmp_path)
    assert record(run, path, said.append)
    assert record(run, path, said.append)
    assert (runs_in(path), said) == ([RUN], [])


@pytest.mark.parametrize(
    "fields",
    [
        {"interrupted": True},
        {"ended": None, "results": False},
        {"check_filter": "one"},
        {"results": False},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_an_unfinished_or_filtered_run_is_not_added(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    path = tmp_path / "history.sqlite"
    assert not record(judged(tmp_path, **fields), path, lambda _: None)  # type: ignore[arg-type]
    assert not path.exists()


def test_a_damaged_history_is_replaced(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"no database")
    assert record(judged(tmp_path), path, said.append)
    assert runs_in(path) == [RUN]
    (line,) = said
    assert "is damaged" in line
    assert len([*tmp_path.glob("history.sqlite.damaged-*")]) == 1


def test_an_unusable_history_is_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "history.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE other (a)")
    other.close()
    run = judged(tmp_path)
    assert not record(run, path, said.append)
    assert not record(run, tmp_path, said.append)  # a folder
    assert [line.startswith("warning: the run was not added") for line in said] == [True, True]


def test_a_report_without_a_readable_history_has_no_trends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work_dir = tmp_path / ".matrixci"
    judged(work_dir)
    (work_dir / "history.sqlite").write_bytes(b"no database")
    done = run_command(monkeypatch, capsys, tmp_path, "readiness", RUN)
    assert "the report has no trends" in done.err
    assert done.code in {ExitCode.READY, ExitCode.FAILURES}
    assert (work_dir / "runs" / RUN / "report" / "report.html").is_file()


@pytest.mark.parametrize(("options", "kept"), [([], True), (["--no-history"], False)])
def test_matrix_adds_its_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    kept: bool,  # noqa: FBT001
) -> None:
    async def execute(settings: Settings, *_: object) -> JudgedRun:
        return judged(settings.work_dir)

    monkeypatch.setattr(running, "execute", execute)
    (tmp_path / "matrix.yaml").write_text("subject: transformers\naxes: {python: {'3.12': {}}}\n")
    done = run_command(monkeypatch, capsys, tmp_path, "matrix", *options)
    assert RUN in done.out, done.err
    path = tmp_path / ".matrixci" / "history.sqlite"
    assert path.exists() is kept
    assert not kept or runs_in(path) == [RUN]
