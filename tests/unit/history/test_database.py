import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from histories import of_days, opened_history, take_in

from matrixci.errors import DamagedHistoryError, ExitCode, HistoryError, UsageError
from matrixci.history import migrations as schema
from matrixci.history.database import rename_damaged
from matrixci.history.series import cell_series, check_series, package_changes
from matrixci.history.store import History
from matrixci.history.streaks import streak
from matrixci.model import CellOutcome, CheckOutcome, Reason
from matrixci.verdict.judged import PackageChange

history = pytest.fixture(opened_history)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def said() -> list[str]:
    return []


V1 = (Path(__file__).parents[1] / "data/history_v1.sql").read_text(encoding="utf-8")


def test_a_file_of_version_1_is_migrated(file: Path, said: list[str]) -> None:
    with sqlite3.connect(file) as old:
        old.executescript(V1)
    old.close()
    with History.reading(file) as history:
        assert schema.version_of(history.connection) == schema.VERSION
        assert [kept.id for kept in history.runs()] == ["as-of", "plain"]
        series = cell_series(history)
        assert [(p.run, p.moment[:10], p.whole) for each in series for p in each.points] == [
            ("as-of", "2026-08-01", True),
            ("plain", "2026-11-02", True),
        ]
        found = streak(series[0].points)
        assert found is not None
        assert found.last_green is not None
        assert package_changes(history, found.last_green.lock, found.since.lock) == (
            PackageChange(name="torch", before="2.14.1", after="2.15.0"),
        )
    with History.writing(file, said.append) as history:
        take_in(history, of_days("green"))
    assert said == []


EARLIER_WORDS = """
INSERT INTO checks VALUES (1, 'test_a.py::test_one');
INSERT INTO check_outcomes VALUES (1, 'known'), (2, 'fixed');
INSERT INTO check_results VALUES (2, 1, 1, 1, NULL), (1, 1, 1, 2, NULL);
INSERT INTO figure_names VALUES (1, 'import_seconds');
INSERT INTO figures VALUES (1, 1, 1, 1, 5.0);
UPDATE cell_results SET outcome = 'partial', reason = 'needs';
"""


def test_earlier_words_are_migrated(file: Path) -> None:
    with sqlite3.connect(file) as old:
        old.executescript(V1 + EARLIER_WORDS)
    old.close()
    with History.reading(file) as history:
        (cell,) = cell_series(history)
        (check,) = check_series(history, "*")
    assert [(point.outcome, point.reason) for point in cell.points] == [
        (CellOutcome.PARTIAL, Reason.MISSING_HARDWARE)
    ] * 2
    assert [point.outcome for point in check.points] == [
        CheckOutcome.KNOWN_ISSUE,
        CheckOutcome.UNEXPECTED_PASS,
    ]
    assert check.metrics() == {"import_seconds": (5.0,)}


def test_a_new_file_goes_through_every_migration(history: History) -> None:
    assert schema.version_of(history.connection) == len(schema.STEPS)


def test_a_failed_migration_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(file) as old:
        old.executescript(V1)
    old.close()
    steps = (schema.STEPS[0], "ALTER TABLE runs ADD COLUMN moment TEXT;\nDROP TABLE no_such_one;\n")
    monkeypatch.setattr(schema, "STEPS", steps)
    with pytest.raises(HistoryError, match="no such table"):
        History.reading(file)
    monkeypatch.undo()
    with History.reading(file) as history:
        assert len(history.runs()) == 2


def test_a_file_of_a_newer_version_is_refused(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append) as history:
        history.connection.execute("PRAGMA user_version = 99")
    content = file.read_bytes()
    for opening in (History.reading, lambda path: History.writing(path, said.append)):
        with pytest.raises(HistoryError, match=r"version 99.*reads versions up to 3"):
            opening(file)
    assert (file.read_bytes(), said) == (content, [])


def test_another_programs_database_is_refused(file: Path, said: list[str]) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    content = file.read_bytes()
    with pytest.raises(UsageError, match="another program's database"):
        History.writing(file, said.append)
    assert file.read_bytes() == content


def broken(kind: str, content: bytes) -> bytes:
    match kind:
        case "garbage":
            return b"this is no database at all\n" * 100
        case "truncated":
            return content[: len(content) // 2 // 4096 * 4096]
        case "cut in a page":
            return content[: len(content) - 4096 - 1000]
        case "a page of zeros":
            return content[:4096] + bytes(4096) + content[8192:]
        case _:
            return content[:8192] + os.urandom(len(content) - 8192)


BROKEN = ["garbage", "truncated", "cut in a page", "a page of zeros", "noise"]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_damaged_file_is_renamed_and_replaced(file: Path, said: list[str], kind: str) -> None:
    with History.writing(file, said.append) as history:
        take_in(history, of_days("green red"))
    damaged = broken(kind, file.read_bytes())
    file.write_bytes(damaged)
    Path(f"{file}-wal").write_bytes(b"")

    with pytest.raises(DamagedHistoryError, match="is damaged") as caught:
        History.reading(file)
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    assert (file.read_bytes(), said) == (damaged, [])

    with History.writing(file, said.append) as history:
        assert history.runs() == ()
        take_in(history, of_days("green"))
    (aside,) = (p for p in file.parent.glob("*.damaged-*Z"))
    assert aside.read_bytes() == damaged
    (line,) = said
    assert str(aside) in line
    assert "is damaged" in line


def test_the_wal_of_a_damaged_file_is_renamed_too(file: Path, said: list[str]) -> None:
    file.write_bytes(b"garbage" * 1000)
    for ending in ("-wal", "-shm"):
        Path(f"{file}{ending}").write_bytes(ending.encode())
    with History.writing(file, said.append):
        pass
    (aside,) = (p for p in file.parent.glob("*.damaged-*Z"))
    assert [Path(f"{aside}{ending}").read_bytes() for ending in ("-wal", "-shm")] == [
        b"-wal",
        b"-shm",
    ]


def test_a_file_that_was_repaired_meanwhile_is_not_renamed(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    assert rename_damaged(file, 1.0) is None
    assert rename_damaged(file.with_name("nothing"), 1.0) is None


def test_a_locked_file_is_retried(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    release.start()
    with History.writing(file, said.append, timeout=30) as history:
        take_in(history, of_days("green"))
    release.join()
    other.close()


def test_a_file_that_stays_locked_is_an_error(file: Path, said: list[str]) -> None:
    with History.writing(file, said.append):
        pass
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        History.writing(file, said.append, timeout=0.1) as history,
        pytest.raises(HistoryError, match="locked by another process"),
    ):
        history.add(of_days("green")[0])
    other.close()
    assert said == []


def test_a_missing_history_is_an_error(file: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no history .*\nAdd a run: matrixci"):
        History.reading(file)
    assert not file.exists()


def test_an_impossible_path_is_an_error(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match=r"^Cannot create the folder "):
        History.writing(tmp_path / "file/history.sqlite", said.append)
    with pytest.raises(HistoryError, match="Is a directory"):
        History.writing(tmp_path, said.append)


CHILD = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from factories import a_check
from histories import judged_cell, run_of
from matrixci.history.store import History
first, last = map(int, sys.argv[3:5])
for day in range(first, last):
    with History.writing(Path(sys.argv[2]), print) as history:
        history.add(run_of(day, judged_cell(checks=[a_check()])))
"""


def child(*arguments: object) -> subprocess.Popen[str]:
    folders = ":".join([*sys.path, str(Path(__file__).parent)])
    argv = [sys.executable, "-c", CHILD, folders, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("begun", ["new", "standing"])
def test_concurrent_processes_all_add_their_runs(file: Path, said: list[str], begun: str) -> None:
    if begun == "standing":
        with History.writing(file, said.append):
            pass
    children = [child(file, first, first + 6) for first in (1, 4, 10)]
    for each in children:
        output = each.communicate(timeout=120)[0]
        assert (each.returncode, output) == (0, "")
    with History.reading(file) as history:
        assert [kept.id for kept in history.runs()] == [f"run-{day:03}" for day in range(1, 16)]


def test_concurrent_processes_rename_a_damaged_file_once(file: Path) -> None:
    file.write_bytes(b"garbage" * 1000)
    children = [child(file, first, first + 3) for first in (1, 4, 7)]
    outputs = [each.communicate(timeout=120)[0] for each in children]
    assert [each.returncode for each in children] == [0, 0, 0], outputs
    assert len(list(file.parent.glob("*.damaged-*Z"))) == 1
    with History.reading(file) as history:
        assert len(history.runs()) == 9


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_file_can_be_read_but_not_written(said: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "history.sqlite")
        with History.writing(file, said.append) as history:
            take_in(history, of_days("green red"))
        Path(name).chmod(0o555)
        file.chmod(0o444)
        os.seteuid(65534)
        try:
            with History.reading(file) as history:
                assert len(history.runs()) == 2
            with pytest.raises(HistoryError, match=r"Cannot write .*\n.*--history PATH"):
                History.writing(file, said.append)
        finally:
            os.seteuid(0)
    assert said == []
