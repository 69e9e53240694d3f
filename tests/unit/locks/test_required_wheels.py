"""Own wheels, built by the real pip from repositories, files and servers."""

import asyncio
import subprocess
import zipfile
from pathlib import Path

import pytest
from factories import a_cell, digest_of_file, write_wheel
from source_project import a_project, commit_all
from tiny_index import serving

from matrixci.errors import ExitCode, SubjectError
from matrixci.locks.own_wheels import StoredWheel
from matrixci.locks.required_wheels import make_wheels, without_credentials
from matrixci.locks.wheel_fit import wheel_fits
from matrixci.matrix.selection import SelectedCells


def make(
    folder: Path, *requires: str, pythons: tuple[str, ...] = ("3.12",)
) -> tuple[StoredWheel, ...]:
    cells = [a_cell(python, requires=requires) for python in pythons]
    return asyncio.run(make_wheels(cells, folder, lambda _: None))


def refusal(folder: Path, *requires: str, pythons: tuple[str, ...] = ("3.12",)) -> str:
    with pytest.raises(SubjectError) as caught:
        make(folder, *requires, pythons=pythons)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "Traceback" not in str(caught.value)
    assert list(folder.glob(".build-*")) == []
    return str(caught.value)


def test_requirements_without_a_url_are_skipped(tmp_path: Path) -> None:
    assert make(tmp_path / "wheels", "numpy<2", "torch") == ()
    assert not (tmp_path / "wheels").exists()


@pytest.mark.parametrize("branch", ["", "@main", "@feature/one", "@tagged", "@COMMIT"])
def test_a_repository_is_built_at_its_commit(tmp_path: Path, branch: str) -> None:
    project = a_project(tmp_path / "tool", "tool", "2.0")
    commit = commit_all(project)
    for words in ("branch feature/one", "tag tagged"):
        git(project, *words.split())
    url = f"git+{project.as_uri()}"
    spec = f"tool[fast] @ {url}{branch.replace('COMMIT', commit)} ; python_version > '3'"
    (kept,) = make(tmp_path / "wheels", spec)
    own = kept.wheel
    assert (own.name, own.spec, own.commit) == ("tool", spec, commit)
    assert own.origin == f"{url}@{commit}"
    assert own.digest == digest_of_file(kept.path)
    assert kept.path == tmp_path / "wheels" / own.digest[:16] / "tool-2.0-py3-none-any.whl"
    place = f"{kept.path.as_uri()}#sha256={own.digest}"
    assert own.requirement == f'tool[fast] @ {place} ; python_version > "3"'


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True)


def test_a_subdirectory_of_a_repository_is_built(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    a_project(tmp_path / "all/tool", "tool", "2.0")
    commit = commit_all(tmp_path / "all")
    (kept,) = make(tmp_path / "w", f"tool @ git+{tmp_path.as_uri()}/all@main#subdirectory=tool")
    assert kept.wheel.origin == f"git+{tmp_path.as_uri()}/all@{commit}#subdirectory=tool"


def test_a_wheel_of_a_folder_records_its_commit(tmp_path: Path) -> None:
    project = a_project(tmp_path / "tool", "tool", "2.0")
    commit = commit_all(project)
    url = project.as_uri()
    (kept,) = make(tmp_path / "wheels", f"tool @ {url}")
    assert (kept.wheel.commit, kept.wheel.origin) == (commit, url)
    a_project(project, "tool", "2.0", code="changed = True")
    (changed,) = make(tmp_path / "wheels", f"tool @ {url}")
    assert (changed.wheel.commit, changed.wheel.origin) == (f"{commit}+dirty", url)


def test_building_twice_gives_an_identical_wheel(tmp_path: Path) -> None:
    """The timestamps of a clone vary, so the build gets a fixed one."""
    project = a_project(tmp_path / "tool", "tool", "2.0")
    backend = project / "backend.py"
    text = backend.read_text(encoding="utf-8").replace(
        "write(f\"{NAME}.py\", ''",
        "write(f\"{NAME}.py\", __import__('os').environ['SOURCE_DATE_EPOCH']",
    )
    backend.write_text(text, encoding="utf-8")
    (kept,) = make(tmp_path / "wheels", f"tool @ {project.as_uri()}")
    with zipfile.ZipFile(kept.path) as archive:
        assert int(archive.read("tool.py")) == 315532800
    assert make(tmp_path / "wheels", f"tool @ {project.as_uri()}") == (kept,)


def test_a_stored_wheel_does_not_depend_on_the_original_file(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "my_tool-2.0+local")
    text = wheel.read_bytes()
    (kept,) = make(tmp_path / "wheels", f"My.Tool @ {wheel.as_uri()}")
    wheel.unlink()
    assert kept.path.read_bytes() == text
    assert (kept.wheel.name, kept.wheel.wheel, kept.wheel.commit) == ("my-tool", wheel.name, None)


@pytest.mark.parametrize(
    "tag",
    ["py3-none-any", "py2.py3-none-any", "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
     "cp39-abi3-manylinux_2_28_aarch64", "py313-none-any", "cp313-none-linux_x86_64"],
)  # fmt: skip
def test_a_wheel_for_another_python_is_downloaded(tmp_path: Path, tag: str) -> None:
    wheel = write_wheel(tmp_path, "tool-2.0", python=">=3.13", tag=tag)
    with serving(tmp_path) as address:
        url = address.replace("//", "//me:secret@").replace("/simple", f"/files/{wheel.name}")
        (kept,) = make(tmp_path / "w", f"tool @ {url}", pythons=("3.12", "3.13"))
    assert kept.path.read_bytes() == wheel.read_bytes()
    assert kept.wheel.origin == url.replace("me:secret@", "***@")
    assert "secret" not in kept.wheel.model_dump_json()


def test_a_wheel_that_fits_no_cell_is_rejected(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "tool-2.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    spec = f"tool @ {wheel.as_uri()}"
    assert refusal(tmp_path / "wheels", spec, pythons=("3.12", "3.13")) == (
        f'The requirement "{spec}" is the wheel {wheel.name}, '
        "which cannot be installed on Linux with Python 3.12, 3.13."
    )


@pytest.mark.parametrize(
    ("tag", "python", "expected"),
    [
        ("py3-none-any", "3.12", True),
        ("cp312-cp312-linux_x86_64", "3.12", True),
        ("cp310-abi3-manylinux_2_28_aarch64", "3.12", True),
        ("cp39-cp39-win_amd64", "3.9", False),
        ("cp311-cp311-manylinux_2_17_x86_64", "3.12", False),
        ("cp313-abi3-manylinux_2_17_x86_64", "3.12", False),
        ("cp313-cp313t-manylinux_2_17_x86_64", "3.13", False),
        ("py2-none-any", "3.12", False),
        ("cp312-cp312-musllinux_1_2_x86_64", "3.12", False),
        ("py3-none-macosx_11_0_arm64", "3.12", False),
        ("pp311-pypy311_pp73-manylinux_2_17_x86_64", "3.11", False),
    ],
)
def test_tags_decide_whether_a_wheel_fits(tag: str, python: str, *, expected: bool) -> None:
    assert wheel_fits(f"tool-2.0-{tag}.whl", python) is expected


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("git+file://{0}/absent", "fatal: '{0}/absent' does not appear to be a git repository"),
        ("git+file://{0}/tool@absent", "error: pathspec 'absent' did not match any file"),
        ("file://{0}/absent", "{0}/absent does not exist."),
        ("file://{0}/absent-1.0-py3-none-any.whl", "{0}/absent-1.0-py3-none-any.whl does not"),
        ("file://{0}/empty", "does not appear to be a Python project"),
        ("file://{0}/fails", "there is no compiler"),
        ("file://{0}/tool.whl", "is not a wheel: "),
        ("file://{0}/other-1.0-py3-none-any.whl", "is the package other, not tool."),
        ("file://{0}/other", "is the package other, not tool."),
        ("file://{0}/tool-2.0-py3-none-any.whl#sha256=00", "Expected sha256 00"),
        ("{1}/files/tool-9.0-py3-none-any.whl", "HTTP error 404"),
        ("{1}/files/tool-9.0.tar.gz", "HTTP error 404"),
    ],
)
def test_a_failed_build_or_download_is_reported_with_its_reason(
    tmp_path: Path, place: str, reason: str
) -> None:
    commit_all(a_project(tmp_path / "tool", "tool"))
    a_project(tmp_path / "other", "other")
    a_project(tmp_path / "fails", "tool", fails="there is no compiler")
    (tmp_path / "empty").mkdir()
    for name in ("tool-2.0", "other-1.0"):
        write_wheel(tmp_path, name)
    (tmp_path / "tool.whl").write_bytes(b"")
    with serving(tmp_path, 404) as address:
        server = address.replace("/simple", "").replace("//", "//me:secret@")
        spec = f"tool @ {place.format(tmp_path, server)}"
        message = refusal(tmp_path / "wheels", spec)
    assert message.startswith(f'The requirement "{spec.replace("me:secret@", "***@")}"')
    assert reason.format(tmp_path) in message
    assert "secret" not in message
    assert len(message.splitlines()) <= 7


def test_all_failed_requirements_are_reported_together(tmp_path: Path) -> None:
    specs = [f"{name} @ {tmp_path.as_uri()}/{name}" for name in ("one", "two")]
    message = refusal(tmp_path / "wheels", *specs)
    assert all(f'"{spec}"' in message for spec in specs)


def test_a_requirement_that_applies_to_no_cell_is_skipped(tmp_path: Path) -> None:
    absent = f"tool @ {tmp_path.as_uri()}/absent ; python_version < '3.12'"
    elsewhere = f"tool @ {tmp_path.as_uri()}/absent ; sys_platform == 'win32'"
    assert make(tmp_path / "wheels", absent, elsewhere, pythons=("3.12", "3.13")) == ()
    assert "does not exist" in refusal(tmp_path / "w", absent, pythons=("3.11", "3.12"))


def test_cells_are_stored_without_credentials() -> None:
    cell = a_cell(requires=("numpy<2", "tool @ git+https://me:secret@host.example/a@main"))
    chosen = without_credentials(SelectedCells(cells=(cell,), unselected=()))
    assert chosen.cells[0].requires == ("numpy<2", "tool @ git+https://***@host.example/a@main")
