import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixci.errors import UsageError
from matrixci.sandbox.files import pack, read_sources, unpack_results
from matrixci.util.resources import data_folder

QUICK = settings(max_examples=200, deadline=None, derandomize=True, database=None)
LIMIT = 1000
LINES = b'{"kind": "header"}\n'


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        found = tar.getmembers()
    assert len({member.name for member in found}) == len(found)
    return {member.name: member for member in found}


def content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


# What goes in


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    files = ["test_a.py", "deep/test_b.py", "__pycache__/test_a.pyc", ".cache", "deep/.x/y"]
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name} é\n", encoding="utf-8")
    return folder


def test_container_gets_its_cell_harness_and_checks(checks: Path) -> None:
    cell = {"cell": "py3.12-numpy2-cpu", "nonce": "00", "lock": {"numpy": "2.5.5"}}
    archive = pack(cell, read_sources(checks))
    assert json.loads(content(archive, "cell.json")) == cell
    assert content(archive, "checks/checks/deep/test_b.py") == "# deep/test_b.py é\n".encode()
    harness = {path.name for path in data_folder("harness").glob("*.py")}
    assert "supervise.py" in harness
    assert set(members(archive)) == {
        "cell.json",
        "harness",
        *(f"harness/{name}" for name in harness),
        "checks",
        "checks/checks/test_a.py",
        "checks/checks/deep/test_b.py",
        "results",
    }


@pytest.mark.parametrize(
    ("name", "package"),
    [
        *((name, name) for name in ("tests", "test", "test_suite", "checks")),
        *((name, "") for name in ("transformers", "my-tests", "tests.old", "suite")),
    ],
)
def test_usual_folder_name_is_the_package(tmp_path: Path, name: str, package: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "test_a.py").write_text("")
    sources = read_sources(folder)
    assert sources.package == package
    place = f"checks/{package}/test_a.py" if package else "checks/test_a.py"
    assert place in members(pack({}, sources))


def test_builtin_checks_have_no_package() -> None:
    assert read_sources(data_folder("checks")).package == ""


def test_container_can_write_only_its_results(checks: Path) -> None:
    for name, member in members(pack({}, read_sources(checks))).items():
        if name == "results":
            assert (member.uid, member.gid, member.mode) == (65532, 65532, 0o755)
            assert member.isdir()
        else:
            assert (member.uid, member.gid) == (0, 0)
            assert member.mode == (0o755 if member.isdir() else 0o444)
            assert member.isdir() or member.isreg()


def test_archive_is_reproducible(checks: Path) -> None:
    assert pack({"a": 1}, read_sources(checks)) == pack({"a": 1}, read_sources(checks))


def test_changes_after_reading_have_no_effect(checks: Path) -> None:
    sources = read_sources(checks)
    before = pack({}, sources)
    (checks / "test_a.py").write_text("# changed\n")
    (checks / "test_new.py").touch()
    (checks / "deep/test_b.py").unlink()

    assert pack({}, sources) == before
    assert read_sources(checks).digest != sources.digest


@pytest.mark.parametrize("file", ["test_a.py", "deep/test_b.py", "deep/er/helper.py"])
def test_digest_covers_files_in_subfolders(checks: Path, file: str) -> None:
    path = checks / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("before = 1\n")
    before = read_sources(checks).digest

    path.write_text("after = 1\n")
    changed = read_sources(checks).digest
    path.rename(path.with_name("renamed.py"))
    renamed = read_sources(checks).digest
    path.with_name("renamed.py").unlink()

    assert len({before, changed, renamed, read_sources(checks).digest}) == 4


def test_builtin_checks_come_with_their_helpers() -> None:
    files = read_sources(data_folder("checks")).files["checks"]
    assert {"test_import.py", "support/__init__.py", "support/probe_inside.py"} <= set(files)


def test_unreadable_check_is_reported(checks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UsageError, match=r"Cannot read the checks in .*: Permission denied"):
        read_sources(checks)


# What comes out


def a_file(
    name: str = "results/results.jsonl", data: bytes = LINES, **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, data


def a_link(kind: bytes, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return a_file(data=b"", type=kind, linkname=target)


def tar(*files: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in files:
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


FOLDER = a_file("results", b"", type=tarfile.DIRTYPE)


@pytest.mark.parametrize(
    "archive",
    [
        tar(a_file()),
        tar(FOLDER, a_file()),
        tar(FOLDER, a_file("results/more", b"x"), a_file(), a_file("results/core", b"y" * 5000)),
        tar(FOLDER, a_file("/etc/passwd"), a_file()),
    ],
)
def test_result_file_is_extracted(archive: bytes) -> None:
    assert unpack_results(archive, LIMIT) == LINES


def test_empty_result_file_is_extracted() -> None:
    assert unpack_results(tar(a_file(data=b"")), LIMIT) == b""


@pytest.mark.parametrize(("size", "taken"), [(LIMIT, True), (LIMIT + 1, False)])
def test_result_file_has_a_maximum_size(size: int, *, taken: bool) -> None:
    data = b"x" * size
    assert unpack_results(tar(FOLDER, a_file(data=data)), LIMIT) == (data if taken else None)


WHOLE = tar(FOLDER, a_file(data=b"x" * 900))
NOT_TAKEN = {
    "nothing": None,
    "empty": b"",
    "no archive": b"what is this?" * 100,
    "absent": tar(FOLDER),
    "another name": tar(FOLDER, a_file("results/result.jsonl")),
    "not in the folder": tar(a_file("results.jsonl")),
    "up and down again": tar(a_file("results/../results/results.jsonl")),
    "up": tar(a_file("../results/results.jsonl")),
    "absolute": tar(a_file("/results/results.jsonl")),
    "two": tar(FOLDER, a_file(), a_file()),
    "a link": tar(FOLDER, a_link(tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link": tar(FOLDER, a_file("results/x"), a_link(tarfile.LNKTYPE, "results/x")),
    "a folder": tar(a_file(data=b"", type=tarfile.DIRTYPE)),
    "a device": tar(a_file(data=b"", type=tarfile.CHRTYPE)),
    "a pipe": tar(a_file(data=b"", type=tarfile.FIFOTYPE)),
    "cut off in the file": WHOLE[: 512 + 512 + 400],
    "cut off in the header": WHOLE[: 512 + 100],
    "compressed": gzip.compress(WHOLE),
    "compressed and cut off": gzip.compress(WHOLE)[:-20],
}


@pytest.mark.parametrize("archive", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_anything_but_a_single_regular_file_is_ignored(archive: bytes | None) -> None:
    assert unpack_results(archive, LIMIT) is None


def damaged(position: int, byte: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:position] + bytes([byte]) + raw[position + 1 :]


@QUICK
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8), st.integers(0))
def test_no_archive_raises_an_exception(changes: list[tuple[int, int]], length: int) -> None:
    raw = WHOLE
    for position, byte in changes:
        raw = damaged(position, byte)(raw)
    found = unpack_results(raw[: length % (len(raw) + 1)], LIMIT)
    assert found is None or len(found) <= LIMIT


# Links


def test_links_are_followed(checks: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    (suite / "deep").mkdir(parents=True)
    (suite / "deep/test_far.py").write_text("# far\n")
    (checks / "suite").symlink_to("../suite")
    (checks / "test_linked.py").symlink_to(suite / "deep/test_far.py")
    names = {name for name in members(pack({}, read_sources(checks))) if "far" in name}
    assert names == {"checks/checks/suite/deep/test_far.py"}
    assert content(pack({}, read_sources(checks)), "checks/checks/test_linked.py") == b"# far\n"


def test_digest_covers_linked_files(checks: Path, tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    (checks / "suite").symlink_to("../suite")
    before = read_sources(checks).digest
    (tmp_path / "suite/test_new.py").write_text("# new\n")
    assert read_sources(checks).digest != before


def test_link_to_a_parent_folder_is_refused(checks: Path) -> None:
    (checks / "deep/loop").symlink_to("..")
    with pytest.raises(UsageError, match=r"leads to a folder above it .*loop"):
        read_sources(checks)


def test_circular_links_are_refused(checks: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (checks / one).mkdir()
        (checks / one / "link").symlink_to(f"../{other}")
    with pytest.raises(UsageError, match="leads to a folder above it"):
        read_sources(checks)


def test_folder_linked_twice_is_copied_twice(checks: Path) -> None:
    for name in ("one", "two"):
        (checks / name).symlink_to("deep")
    found = members(pack({}, read_sources(checks)))
    assert {"checks/checks/one/test_b.py", "checks/checks/two/test_b.py"} <= set(found)


def test_dangling_link_is_refused(checks: Path) -> None:
    (checks / "test_gone.py").symlink_to("nothing.py")
    with pytest.raises(UsageError, match=r"leads nowhere .*test_gone\.py"):
        read_sources(checks)


def test_name_that_is_not_utf8_is_refused(checks: Path) -> None:
    (checks / os.fsdecode(b"test_\xff.py")).touch()
    with pytest.raises(UsageError, match=r"name is not UTF-8 .*test_\\xff\.py"):
        read_sources(checks)


def test_special_file_is_refused(checks: Path) -> None:
    os.mkfifo(checks / "pipe")
    with pytest.raises(UsageError, match=r"neither a file nor a folder .*pipe"):
        read_sources(checks)
