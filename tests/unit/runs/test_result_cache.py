from collections.abc import Mapping
from pathlib import Path

import pytest
from factories import a_result

from matrixci.errors import RunFilesError
from matrixci.runs.result_cache import ResultStore
from matrixci.util.digests import digest_of, digest_of_files, read_files, source_files

KEY = "0" * 64


def digest(*folders: Path) -> str:
    return digest_of_files(*map(read_files, folders))


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


# Digests


def test_a_digest_does_not_depend_on_the_order_of_facts() -> None:
    assert digest_of({"a": 1, "b": {"c": 2, "d": 3}}) == digest_of({"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize(
    "other", [{"a": 2}, {"b": 1}, {"a": 1, "b": None}, {"a": "1"}, {"a": [1]}, {}]
)
def test_other_facts_have_another_digest(other: dict[str, object]) -> None:
    assert digest_of(other) != digest_of({"a": 1})


FILES = {"a": "1", "b": "2", "deep/c": "3"}


def test_a_digest_does_not_depend_on_the_path_of_the_folder(tmp_path: Path) -> None:
    one = write(tmp_path / "one", FILES)
    same = write(tmp_path / "elsewhere/same", dict(reversed(FILES.items())))
    assert digest(one) == digest(same)


@pytest.mark.parametrize(
    "other",
    [
        {"a": "1", "b": "2", "deep/c": "4"},
        {"a": "1", "b": "2", "deep/d": "3"},
        {"a": "1", "b": "2", "c": "3"},
        {"a": "1", "b": "2", "deep/c": "3", "e": ""},
        {"a": "1", "b": "2"},
        {"a": "2", "b": "1", "deep/c": "3"},
        {"a": "12", "b": "", "deep/c": "3"},
    ],
    ids=["content", "name", "place", "one more", "one less", "swapped", "joined"],
)
def test_other_contents_have_another_digest(tmp_path: Path, other: Mapping[str, str]) -> None:
    here, there = write(tmp_path / "here", FILES), write(tmp_path / "there", other)
    assert digest(here) != digest(there)
    assert digest(here, there) != digest(there, here)
    assert digest(here, here) != digest(here)


def test_files_created_by_tools_are_ignored(tmp_path: Path) -> None:
    # The parent folders may have any name, for example in a hidden checkout.
    folder = write(tmp_path / ".hidden/__pycache__/checks", FILES)
    before = digest(folder)
    left = ["__pycache__/a.pyc", "deep/__pycache__/c.pyc", ".cache", "deep/.c.swp", ".pytest/x/y"]
    write(folder, dict.fromkeys(left, "left behind"))
    (folder / "empty").mkdir()
    assert [str(path.relative_to(folder)) for path in source_files(folder)] == list(FILES)
    assert digest(folder) == before


# Kept results


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run/container.log"
    path.parent.mkdir()
    path.write_bytes(b"what it said \xff\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


RESULT = a_result(reuse_key=KEY, log="logs/a.log")


def test_a_result_is_found_by_key_with_its_log(
    store: ResultStore, log: Path, tmp_path: Path
) -> None:
    store.keep(RESULT, log)
    log.unlink()
    copy = tmp_path / "copy.log"
    assert store.find(KEY, copy) == RESULT
    assert copy.read_text(encoding="utf-8") == "what it said \N{REPLACEMENT CHARACTER}\n"


def test_another_key_finds_nothing(store: ResultStore, log: Path, tmp_path: Path) -> None:
    store.keep(RESULT, log)
    assert store.find("1" * 64, tmp_path / "copy.log") is None
    assert not (tmp_path / "copy.log").exists()


def test_the_latest_result_of_a_key_is_found(store: ResultStore, log: Path, tmp_path: Path) -> None:
    newer = RESULT.model_copy(update={"message": "newer"})
    store.keep(RESULT, log)
    store.keep(newer, log)
    assert store.find(KEY, tmp_path / "copy.log") == newer


def kept(tmp_path: Path) -> Path:
    return tmp_path / "results" / KEY / "result.json"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"{}",
        b"[]",
        b"[" * 100_000,
        RESULT.model_copy(update={"reuse_key": "1" * 64}).model_dump_json().encode(),
        RESULT.model_copy(update={"reuse_key": None}).model_dump_json().encode(),
        RESULT.model_dump_json().replace('"passed"', '"fine"').encode(),
    ],
    ids=[
        "empty",
        "cut off",
        "not UTF-8",
        "no fields",
        "a list",
        "nested",
        "of another key",
        "of no key",
        "unknown outcome",
    ],
)
def test_a_damaged_result_is_not_found(
    store: ResultStore, log: Path, tmp_path: Path, content: bytes
) -> None:
    store.keep(RESULT, log)
    kept(tmp_path).write_bytes(content)
    assert store.find(KEY, tmp_path / "copy.log") is None


def test_a_result_without_its_log_is_not_found(
    store: ResultStore, log: Path, tmp_path: Path
) -> None:
    store.keep(RESULT, log)
    kept(tmp_path).with_name("container.log").unlink()
    assert store.find(KEY, tmp_path / "copy.log") is None


def test_a_failed_write_is_an_error(store: ResultStore, log: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFilesError, match="cannot be written"):
        store.keep(RESULT, log)


def test_every_fact_of_a_result_is_kept(store: ResultStore, log: Path, tmp_path: Path) -> None:
    store.keep(RESULT, log)
    found = store.find(KEY, tmp_path / "copy.log")
    assert found is not None
    assert found.model_dump() == RESULT.model_dump()
