import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from factories import RUN, a_cell, a_check, a_result, a_run, cells
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.errors import ExitCode, RunFilesError, UsageError
from matrixci.model import CellOutcome, CheckOutcome, Reason, Step, StepName
from matrixci.runs.folder import RunFolder, find_run, new_run_id, read_run, remove_run
from matrixci.util.files import write_whole
from matrixci.util.invocation import called

TWO = cells(("3.12", "3.13"))
AT = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)


def everything(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): file.read_text(encoding="utf-8")
        for file in path.rglob("*")
        if file.is_file()
    }


@pytest.fixture
def stored(tmp_path: Path) -> RunFolder:
    """Return the folder of a run of two cells, both reported."""
    folder = RunFolder.create(tmp_path, RUN)
    folder.write_run(a_run(TWO))
    for cell in TWO:
        folder.write_cell(a_result(cell))
    folder.point_latest()
    return folder


# What is written is read again


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, RUN)
    run = a_run(TWO, command=("matrix", "--cell", "é\n*"), as_of="2026-01-31")
    check = a_check(
        outcome=CheckOutcome.CRASHED,
        metrics={"import_seconds": 5.25},
        detail="\x1b",
        began=AT,
        ended=AT,
    )
    result = a_result(
        TWO[0],
        CellOutcome.FAILED,
        [check],
        reason=Reason.CHECKS,
        steps=(Step(name=StepName.RESOLVE, began=AT, ended=AT),),
    )
    folder.write_run(run)
    folder.write_cell(result)
    stored = read_run(folder.path)
    assert stored.run == run
    assert stored.results == {TWO[0].id: result}  # the other never reported
    assert stored.problems == ()
    assert stored.folder == folder.path


def test_a_lock_is_written_into_the_run_folder(stored: RunFolder) -> None:
    path = stored.write_lock("py3.12-numpy2-cpu", "attrs==1\n")
    assert path == "locks/py3.12-numpy2-cpu.txt"
    assert (stored.path / path).read_text(encoding="utf-8") == "attrs==1\n"


def test_the_work_dir_is_ignored_by_git(stored: RunFolder, tmp_path: Path) -> None:
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == "*\n"
    assert stored.logs.is_dir()


def test_run_ids_sort_by_time_and_are_unique() -> None:
    later = AT.replace(second=1)
    assert new_run_id(AT).startswith("20261121T100000Z-")
    assert new_run_id(AT) < new_run_id(later)
    assert len({new_run_id(AT) for _ in range(50)}) == 50


# A file is whole or not there


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "deep/run.json"
    write_whole(path, "old")
    write_whole(path, "new é")
    assert everything(tmp_path) == {"deep/run.json": "new é"}
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "broken", ["fsync", "write", "replace"], ids=["flushing", "writing", "replacing"]
)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    path = tmp_path / "run.json"
    write_whole(path, "old")

    def fail(*_: object) -> None:
        raise error

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif broken == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(tempfile._TemporaryFileWrapper, "write", fail, raising=False)
    expected = RunFilesError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_whole(path, "new")
    if isinstance(error, OSError):
        assert f"{path} cannot be written: " in str(caught.value)
        assert "No space left" in str(caught.value)
    assert everything(tmp_path) == {"run.json": "old"}


@pytest.mark.parametrize("where", ["", "runs", f"runs/{RUN}"])
def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path, where: str) -> None:
    # A file in the way: what permissions forbid, root may do all the same.
    work_dir = tmp_path / "home"
    blocked = work_dir / where
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(RunFilesError, match=r"^Cannot create the run folder: ") as caught:
        RunFolder.create(work_dir, RUN)
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE


def test_a_second_run_of_one_id_is_refused(stored: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunFilesError):
        RunFolder.create(tmp_path, RUN)
    assert read_run(stored.path).problems == ()


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: folder.write_run(a_run()),
        lambda folder: folder.write_cell(a_result()),
        lambda folder: folder.write_lock("a", ""),
        lambda folder: folder.point_latest(),
    ],
    ids=["run", "cell", "lock", "latest"],
)
def test_a_failed_write_is_an_error(tmp_path: Path, write: Callable[[RunFolder], object]) -> None:
    folder = RunFolder.create(tmp_path, RUN)
    for path in (folder.cells, folder.locks, folder.logs, folder.path):
        path.rmdir()
    folder.path.parent.rmdir()
    folder.path.parent.write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFilesError, match=r"cannot be|Cannot "):
        write(folder)


def test_latest_is_the_last_run_that_was_marked(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        folder = RunFolder(tmp_path / "runs" / name)
        folder.write_run(a_run())
        folder.point_latest()
        assert find_run(tmp_path, None) == folder.path
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "b", "latest"]


def test_a_folder_named_latest_is_an_error(stored: RunFolder) -> None:
    link = stored.path.parent / "latest"
    link.unlink()
    link.mkdir()
    with pytest.raises(RunFilesError, match=r"^Cannot create .*latest: "):
        stored.point_latest()


# Finding a run


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    work_dir = tmp_path / "home"
    for name in ("20261120T100000Z-aaaaaa", "20261121T100000Z-bbbbbb", "20261121T110000Z-cccccc"):
        folder = RunFolder.create(work_dir, name)
        folder.write_run(a_run())
        folder.point_latest()
    RunFolder.create(work_dir, "20261122T000000Z-no-run")
    return work_dir


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (None, "20261121T110000Z-cccccc"),
        ("latest", "20261121T110000Z-cccccc"),
        ("20261120T100000Z-aaaaaa", "20261120T100000Z-aaaaaa"),
        ("20261120", "20261120T100000Z-aaaaaa"),
        ("20261121T11", "20261121T110000Z-cccccc"),
    ],
)
def test_a_run_is_found_by_id_prefix_or_latest(
    work_dir: Path, name: str | None, found: str
) -> None:
    assert find_run(work_dir, name).name == found
    assert find_run(work_dir, name) == work_dir / "runs" / found


def test_a_run_is_found_by_its_path(
    work_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = work_dir / "runs/20261120T100000Z-aaaaaa"
    assert find_run(tmp_path / "other", str(path)) == path
    monkeypatch.chdir(path)
    assert find_run(tmp_path / "other", ".").resolve() == path


@pytest.mark.parametrize(
    "name",
    [
        "2026",  # three
        "20261121",  # two
        "20261122",  # a folder without a run
        "x",
        "l",  # no beginning of `latest`
        "*",
        "20261120*",
        "[",
        "/no/such/folder",
        "../runs/x",
        "20261120T100000Z-aaaaaa/cells",
    ],
)
def test_an_ambiguous_or_unknown_name_is_an_error_that_lists_runs(
    work_dir: Path, name: str
) -> None:
    runs = ["20261120T100000Z-aaaaaa", "20261121T100000Z-bbbbbb", "20261121T110000Z-cccccc"]
    matching = [run for run in runs if run.startswith(name)]
    found = f"{len(matching)} runs match" if matching else "No run matches"
    listed = ", ".join(matching or runs)
    with pytest.raises(UsageError) as caught:
        find_run(work_dir, name)
    assert str(caught.value) == (f"{found} {name!r}. Latest runs: {listed}")
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("name", [None, "x", "/no/such/folder"])
def test_no_run_at_all_is_an_error(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        find_run(tmp_path, name)
    first = "No runs yet" if name is None else f"No run {name!r}, and no other runs"
    made_by = called("matrix")
    assert str(caught.value) == f"{first} in {tmp_path}/runs.\nStart one: {made_by}"


def test_only_the_last_few_runs_are_listed(work_dir: Path) -> None:
    for number in range(10):
        RunFolder(work_dir / f"runs/3{number}").write_run(a_run())
    with pytest.raises(UsageError, match=r"Latest runs: 35, 36, 37, 38, 39$"):
        find_run(work_dir, "x")


# Unreadable files are reported


def overwritten(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def changed(**fields: object) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**document, **fields}), encoding="utf-8")

    return change


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (cut, ""),
    (overwritten(""), "Expecting value"),
    (overwritten("[]"), "has schema version None; this matrixci reads version 1"),
    (overwritten("null"), "has schema version None; this matrixci reads version 1"),
    (overwritten("[" * 100_000), "is nested too deeply"),
    (overwritten("{}"), "has schema version None; this matrixci reads version 1"),
    (changed(schema_version=2), "has schema version 2; this matrixci reads version 1"),
    (changed(schema_version="1"), "has schema version '1'; this matrixci reads version 1"),
    (changed(more=1), "more: Extra inputs are not permitted"),
    (lambda path: path.write_bytes(b"\xff\xfe"), "can't decode byte"),
    (made_a_folder, "Is a directory"),
]
NAMES = [
    "cut off",
    "empty",
    "a list",
    "null",
    "nested",
    "no version",
    "newer",
    "version as text",
    "unknown field",
    "not UTF-8",
    "a folder",
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=NAMES)
def test_an_unreadable_result_is_a_problem(
    stored: RunFolder, damage: Callable[[Path], object], message: str
) -> None:
    damage(stored.cells / f"{TWO[0].id}.json")
    found = read_run(stored.path)
    assert list(found.results) == [TWO[1].id]
    (problem,) = found.problems
    assert problem.startswith(f"{TWO[0].id}.json: ")
    assert message in problem
    assert len(problem.splitlines()) == 1


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=NAMES)
def test_an_unreadable_run_is_an_error(
    stored: RunFolder, damage: Callable[[Path], object], message: str
) -> None:
    damage(stored.path / "run.json")
    with pytest.raises(RunFilesError) as caught:
        read_run(stored.path)
    assert str(caught.value).startswith(f"{stored.path}/run.json: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def renamed(*places: str | int, old: str, new: str) -> Callable[[Path], object]:
    """Return a function that gives a key its earlier name."""

    def rename(path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        place = document
        for name in places:
            place = place[name]
        place[old] = place.pop(new)
        path.write_text(json.dumps(document), encoding="utf-8")

    return rename


def with_limits(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    setup = {"limits": {"check": 60, "memory": 1}, "environment": {}}
    path.write_text(json.dumps({**document, "setup": setup}), encoding="utf-8")


EARLIER_RUNS: list[tuple[Callable[[Path], object], str]] = [
    (renamed("gates", old="ends", new="bounds"), "ends"),
    (renamed("cells", 0, old="entries", new="imports"), "entries"),
    (with_limits, "check"),
]
EARLIER_RESULTS: list[tuple[Callable[[Path], object], str]] = [
    (renamed("cell", old="entries", new="imports"), "entries"),
    (renamed("checks", 0, old="figures", new="metrics"), "figures"),
    (changed(checks=[{"id": "a", "claim": "", "outcome": "known"}]), "known"),
    (changed(checks=[{"id": "a", "claim": "", "outcome": "fixed"}]), "fixed"),
    (changed(outcome="partial", reason="needs"), "needs"),
]


@pytest.mark.parametrize(("change", "name"), EARLIER_RUNS)
def test_a_run_of_an_earlier_development_version_is_refused(
    stored: RunFolder, change: Callable[[Path], object], name: str
) -> None:
    change(stored.path / "run.json")
    with pytest.raises(RunFilesError) as caught:
        read_run(stored.path)
    assert str(caught.value) == (
        f"{stored.path}/run.json: was written by an earlier development version of matrixci "
        f"(it uses {name!r}); run the matrix again: {called('matrix')}"
    )


@pytest.mark.parametrize(("change", "name"), EARLIER_RESULTS)
def test_a_result_of_an_earlier_development_version_is_refused(
    stored: RunFolder, change: Callable[[Path], object], name: str
) -> None:
    path = stored.cells / f"{TWO[1].id}.json"
    change(path)
    with pytest.raises(RunFilesError, match="earlier development version") as caught:
        read_run(stored.path)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"(it uses {name!r})" in str(caught.value)


def test_an_earlier_name_in_another_place_is_an_ordinary_problem(stored: RunFolder) -> None:
    changed(check=1)(stored.cells / f"{TWO[0].id}.json")
    changed(message=["known"])(stored.cells / f"{TWO[1].id}.json")
    problems = read_run(stored.path).problems
    assert [problem.partition(": ")[2] for problem in problems] == [
        "check: Extra inputs are not permitted",
        "message: Input should be a valid string",
    ]


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFilesError, match=r"run\.json: .*No such file"):
        read_run(tmp_path)


def test_a_file_that_is_too_large_is_refused(
    stored: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored.cells / f"{TWO[0].id}.json"
    largest = (stored.path / "run.json").stat().st_size
    monkeypatch.setattr("matrixci.runs.documents.LARGEST", largest)
    path.write_text(" " * (largest + 1), encoding="utf-8")
    assert read_run(stored.path).problems == (f"{path.name}: is larger than {largest} bytes",)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (a_result(TWO[0], run="other"), f"belongs to cell {TWO[0].id} of run other"),
        (a_result(TWO[1]), f"belongs to cell {TWO[1].id} of run {RUN}"),
        (a_result(a_cell("3.9")), f"belongs to cell py3.9-numpy2-cpu of run {RUN}"),
        (
            a_result(TWO[0].model_copy(update={"axes": {"python": "3.12"}})),
            "its cell differs from the cell that the run planned",
        ),
    ],
)
def test_a_result_of_another_run_or_cell_is_a_problem(
    stored: RunFolder, result: object, message: str
) -> None:
    path = stored.cells / f"{TWO[0].id}.json"
    path.write_text(result.model_dump_json(), encoding="utf-8")  # type: ignore[attr-defined]
    found = read_run(stored.path)
    assert list(found.results) == [TWO[1].id]
    assert found.problems == (f"{path.name}: {message}",)


def test_a_cell_without_a_result_is_not_a_problem(stored: RunFolder) -> None:
    (stored.cells / f"{TWO[0].id}.json").unlink()
    found = read_run(stored.path)
    assert (list(found.results), found.problems) == ([TWO[1].id], ())


def test_a_run_without_result_files_has_no_results(stored: RunFolder) -> None:
    for path in stored.cells.iterdir():
        path.unlink()
    stored.cells.rmdir()
    assert read_run(stored.path).results == {}
    stored.cells.write_text("", encoding="utf-8")
    assert len(read_run(stored.path).problems) == 2


# Whatever is in the files


WHOLE = a_result(TWO[0]).model_dump_json().encode()


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.binary(max_size=4))
def test_a_damaged_result_is_a_problem_and_the_others_are_read(
    at: int, cut: int, put: bytes
) -> None:
    with tempfile.TemporaryDirectory() as work_dir:
        folder = RunFolder.create(Path(work_dir), RUN)
        folder.write_run(a_run(TWO))
        folder.write_cell(a_result(TWO[1]))
        (folder.cells / f"{TWO[0].id}.json").write_bytes(WHOLE[:at] + put + WHOLE[at + cut :])
        stored = read_run(folder.path)

    assert TWO[1].id in stored.results
    damaged = TWO[0].id not in stored.results
    assert len(stored.problems) == int(damaged)
    if not damaged:  # what was changed was no part of whose result it is
        assert stored.results[TWO[0].id].cell == TWO[0]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_run_file_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as work_dir:
        folder = RunFolder.create(Path(work_dir), RUN)
        (folder.path / "run.json").write_bytes(data)
        with pytest.raises(RunFilesError, match=r"run\.json"):
            read_run(folder.path)


def test_latest_moves_to_the_previous_run_if_a_run_is_removed(tmp_path: Path) -> None:
    names = ["20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"]
    made = [RunFolder.create(tmp_path, name) for name in names]
    for folder, name in zip(made, names, strict=True):
        folder.write_run(a_run(id=name))
        folder.point_latest()
    latest = tmp_path / "runs/latest"

    remove_run(made[1].path)
    assert not made[1].path.exists()
    assert latest.resolve().name == names[0]

    remove_run(made[0].path)
    assert not latest.is_symlink()
