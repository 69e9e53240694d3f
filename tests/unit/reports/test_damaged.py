"""Damaged run folders: each damage is reported, and nothing crashes."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import stored_runs

from matrixci.errors import ExitCode, RunFilesError
from matrixci.reports.formats import FORMATS, write_all
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import Verdict

TRUNCATED, VERSION, FOREIGN, MISSING, EMPTY = (
    "py3.10-numpy1-cpu",
    "py3.12-numpy1-cuda",
    "py3.12-numpy2-cpu",
    "py3.12-numpy2-cuda",
    "py3.10-numpy2-cpu",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a run with five results, each damaged in a different way."""
    copy = tmp_path / stored_runs.AFTER.name
    shutil.copytree(stored_runs.AFTER, copy)
    cells = copy / "cells"
    text = (cells / f"{TRUNCATED}.json").read_bytes()
    (cells / f"{TRUNCATED}.json").write_bytes(text[: text.index(b'"claim"') + 4])
    other = json.loads((cells / f"{VERSION}.json").read_text())
    (cells / f"{VERSION}.json").write_text(json.dumps({**other, "schema_version": 99}))
    shutil.copy(stored_runs.BEFORE / "cells" / f"{FOREIGN}.json", cells / f"{FOREIGN}.json")
    (cells / f"{MISSING}.json").unlink()
    (cells / f"{EMPTY}.json").write_bytes(b"")
    return copy


def test_each_damaged_file_is_a_blocker(folder: Path) -> None:
    judged = stored_runs.judged(folder)
    assert judged.verdict is Verdict.NOT_READY
    assert exit_code(judged) is not ExitCode.READY
    reasons = "\n".join(judged.reasons)
    assert f"{TRUNCATED}.json: Unterminated string" in reasons
    assert f"{VERSION}.json: has schema version 99; this matrixci reads version 1" in reasons
    assert f"{FOREIGN}.json: belongs to cell {FOREIGN} of run {stored_runs.BEFORE.name}" in reasons
    assert f"{EMPTY}.json: " in reasons
    assert "5 of 12 cells: missing" in reasons


def test_missing_cell_is_named(tmp_path: Path) -> None:
    copy = tmp_path / stored_runs.BEFORE.name
    shutil.copytree(stored_runs.BEFORE, copy)
    assert stored_runs.judged(copy).verdict is Verdict.READY
    (copy / "cells" / f"{MISSING}.json").unlink()
    assert stored_runs.judged(copy).reasons == (f"{MISSING}: missing",)


def test_damage_is_reported_in_every_format(folder: Path, tmp_path: Path) -> None:
    report = stored_runs.report(folder, for_release=True)
    paths = write_all(report, tmp_path / "report")
    assert len(paths) == len(FORMATS)
    for path in paths:
        text = path.read_text()
        assert "NOT READY" in text
        assert "5 of 12 cells: missing" in text or path.name.startswith("badge")


def test_readable_cells_of_a_damaged_baseline_are_compared(folder: Path) -> None:
    judged = stored_runs.judged(stored_runs.AFTER, folder)
    assert judged.comparison
    assert judged.comparison.before_verdict is Verdict.NOT_READY


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": 1}', "\x00"])
def test_unreadable_run_is_reported(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    with pytest.raises(RunFilesError, match=r"run\.json: "):
        stored_runs.judged(folder)


@pytest.mark.parametrize(
    "axes", [{}, {"python": ["3.12"]}, {"python": ["3.12"], "numpy": ["2.x"], "device": ["cpu"]}]
)
def test_run_with_cells_outside_of_its_axes_is_reported(
    folder: Path, axes: dict[str, list[str]]
) -> None:
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "axes": axes}))
    with pytest.raises(RunFilesError, match=r"run\.json: cell .* has other axes"):
        stored_runs.judged(folder)


def test_missing_files_are_left_out(folder: Path) -> None:
    shutil.rmtree(folder / "locks")
    shutil.rmtree(folder / "logs")
    report = stored_runs.report(folder)
    assert set(report.locks.values()) == {""}
    assert set(report.logs.values()) == {""}


def test_locks_and_the_ends_of_logs_are_read() -> None:
    report = stored_runs.report()
    assert report.locks["py3.12-numpy1-cpu"].startswith("# resolved for py3.12-numpy1-cpu\n")
    assert report.logs["py3.12-numpy1-cpu"].endswith("checks\nthe end\n")
    assert "py3.13-numpy1-cpu" not in report.locks


def test_unverified_run_is_not_green_in_any_format(tmp_path: Path) -> None:
    """A run of only some checks is not evidence for a release, even if all of them pass."""
    copy = tmp_path / stored_runs.BEFORE.name
    shutil.copytree(stored_runs.BEFORE, copy)
    run = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**run, "check_filter": "import"}))
    report = stored_runs.report(copy, baseline=None, for_release=True)
    assert {cell.outcome for cell in report.judged.cells} <= {"passed", "partial", "unsatisfiable"}
    for each in FORMATS.values():
        assert "NOT READY" in "".join(each.chunks(report)), each.name
    (document,) = json.loads("".join(FORMATS["sarif"].chunks(report)))["runs"]
    assert document["results"][0]["ruleId"] == "verdict"
    junit = ET.fromstring("".join(FORMATS["junit"].chunks(report)))  # noqa: S314 - made here
    assert [suite.get("name") for suite in junit if suite.get("failures") != "0"] == ["gates"]
