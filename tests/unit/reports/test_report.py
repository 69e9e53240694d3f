import os
from pathlib import Path

import pytest

from matrixci.reports.report import RunFiles

ELSEWHERE = "of another"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.log").write_text(ELSEWHERE)
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    (run / "logs" / "a.log").write_text("0123456789")
    (run / "logs" / "link.log").symlink_to(tmp_path / "secret" / "a.log")
    (run / "linked").symlink_to(tmp_path / "secret")
    os.mkfifo(run / "logs" / "pipe.log")
    return run


def test_the_end_of_a_file_is_read(folder: Path) -> None:
    assert RunFiles(folder, {"a": "logs/a.log"}, 4)["a"] == "6789"
    assert RunFiles(folder, {"a": "logs/a.log"}, 40)["a"] == "0123456789"


@pytest.mark.parametrize(
    "name",
    [
        "../secret/a.log",
        "logs/../../secret/a.log",
        "logs/link.log",
        "linked/a.log",
        "logs",
        "logs/pipe.log",
        "logs/none.log",
        "logs/\0",
        "",
    ],
)
def test_file_outside_of_the_run_is_empty(folder: Path, name: str) -> None:
    assert RunFiles(folder, {"a": name}, 40)["a"] == ""


def test_absolute_path_is_empty(folder: Path) -> None:
    names = {"a": str(folder.parent / "secret" / "a.log")}
    assert RunFiles(folder, names, 40)["a"] == ""
