import asyncio
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest
from factories import digest_of_file, write_wheel
from source_project import a_project, commit_all

from matrixci.errors import ExitCode, RunFilesError, SubjectError
from matrixci.locks.subject import ResolvedSubject, resolve_subject
from matrixci.model import Subject


def resolve(spec: str, folder: Path) -> ResolvedSubject:
    return asyncio.run(resolve_subject(spec, folder))


@pytest.mark.parametrize(
    ("spec", "name", "requirement"),
    [
        ("transformers", "transformers", "transformers"),
        (" Transformers[Torch]>=5,<6 ", "transformers", "Transformers[Torch]<6,>=5"),
        ("my.own_package==1.0", "my-own-package", "my.own_package==1.0"),
    ],
)
def test_a_requirement_is_kept(tmp_path: Path, spec: str, name: str, requirement: str) -> None:
    resolved = resolve(spec, tmp_path / "subjects")
    assert resolved.wheel is None
    subject = resolved.subject
    assert (subject.name, subject.requirement) == (name, requirement)
    assert (subject.spec, subject.wheel, subject.digest) == (spec.strip(), None, None)
    assert not (tmp_path / "subjects").exists()


def test_a_wheel_is_used_unchanged(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "My_Own-1.0+local")
    resolved = resolve(str(wheel), tmp_path / "subjects")
    digest = digest_of_file(wheel)
    assert resolved.wheel == wheel
    assert resolved.subject.name == "my-own"
    assert resolved.subject.wheel == wheel.name
    assert resolved.subject.digest == digest
    uri = f"file://{tmp_path}/My_Own-1.0%2Blocal-py3-none-any.whl"
    assert resolved.subject.requirement == f"my-own @ {uri}#sha256={digest}"
    assert not (tmp_path / "subjects").exists()


def test_wheels_with_equal_names_are_different_requirements(tmp_path: Path) -> None:
    first = resolve(str(write_wheel(tmp_path, "own-1.0")), tmp_path).subject
    second = resolve(str(write_wheel(tmp_path, "own-1.0", ["numpy<2"])), tmp_path).subject
    assert first.requirement != second.requirement


def test_a_path_may_be_relative_or_start_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path, "own-1.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (wheel.name, f"./{wheel.name}", f"~/{wheel.name}"):
        assert resolve(spec, tmp_path / "subjects").wheel == wheel


@pytest.mark.parametrize("spec", ["./absent", "dist/absent-1.0-py3-none-any.whl", "~/absent/x"])
def test_a_missing_path_is_reported_as_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SubjectError) as caught:
        resolve(spec, tmp_path)
    assert str(caught.value).startswith(
        f"The subject {spec} does not exist (looked for {tmp_path}/"
    )
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("name", ["own.whl", "own-1.0.whl", "own-x-py3-none-any.whl"])
def test_an_invalid_wheel_name_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(SubjectError, match="is not a wheel: "):
        resolve(str(tmp_path / name), tmp_path)


def test_a_folder_named_like_a_wheel_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "own-1.0-py3-none-any.whl"
    folder.mkdir()
    with pytest.raises(SubjectError, match=r"is not a wheel: .*Is a directory"):
        resolve(str(folder), tmp_path)


# Built by the real pip from a folder with its own build backend, so that no index is needed


def test_a_folder_is_built_again_each_time(tmp_path: Path) -> None:
    checkout, subjects = a_project(tmp_path / "checkout"), tmp_path / "subjects"
    first = resolve(str(checkout), subjects)
    assert first.subject.name == "toy"
    assert first.subject.spec == str(checkout)
    assert first.wheel is not None
    assert first.wheel.name == first.subject.wheel == "toy-1.0-py3-none-any.whl"
    assert first.subject.digest == digest_of_file(first.wheel)
    # An unchanged folder gives the same wheel. A changed one gives another, and keeps the first.
    assert resolve(str(checkout), subjects) == first
    a_project(checkout, code="changed = True")
    second = resolve(str(checkout), subjects)
    assert second.wheel is not None
    assert second.subject.requirement != first.subject.requirement
    assert second.subject.digest == digest_of_file(second.wheel)
    with zipfile.ZipFile(second.wheel) as archive:
        assert archive.read("toy.py") == b"changed = True"
    assert digest_of_file(first.wheel) == first.subject.digest
    assert len(list(subjects.iterdir())) == 2  # no temporary folders of the builds


def test_a_failed_build_is_reported_with_the_end_of_its_output(tmp_path: Path) -> None:
    checkout = a_project(tmp_path / "checkout", fails="there is no compiler")
    with pytest.raises(SubjectError) as caught:
        resolve(str(checkout), tmp_path / "subjects")
    assert str(caught.value).splitlines() == [
        f"The subject {checkout} cannot be built into a wheel:",
        "there is no compiler",
    ]
    assert list((tmp_path / "subjects").iterdir()) == []


# Built by a fake pip, where the real one would need a network


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a fake pip, which records its arguments and runs the script `does`."""
    folder = tmp_path / "pip"
    folder.mkdir()
    program = folder / "python"
    program.write_text(
        f"""#!/bin/sh
for word in "$@"; do
    echo "$word" >>{folder}/arguments
    case $word in --wheel-dir=*) wheels=${{word#--wheel-dir=}} ;; esac
done
. {folder}/does
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    return folder


def does(pip: Path, script: str) -> None:
    (pip / "does").write_text(f"{script}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("git+https://me:pw@host.example/a/b@main", "toy"),
        ("https://me:pw@host.example/toy-1.0.tar.gz", "toy"),
        ("toy @ https://me:pw@host.example/toy-1.0-py3-none-any.whl", "toy"),
        ("Toy[fast,all] @ git+https://me:pw@host.example/a/b", "toy[all,fast]"),
    ],
)
def test_a_url_is_built_into_a_wheel_without_its_credentials(
    tmp_path: Path, pip: Path, spec: str, name: str
) -> None:
    does(pip, 'echo wheel >"$wheels/toy-1.0-py3-none-any.whl"')
    resolved = resolve(spec, tmp_path / "subjects")
    assert (pip / "arguments").read_text(encoding="utf-8").splitlines()[-1] == spec
    digest = hashlib.sha256(b"wheel\n").hexdigest()
    place = tmp_path / "subjects" / digest[:16] / "toy-1.0-py3-none-any.whl"
    assert resolved.wheel == place
    assert resolved.subject.requirement == f"{name} @ file://{place}#sha256={digest}"
    assert resolved.subject.spec == spec.replace("me:pw@", "***@")
    assert "pw" not in resolved.subject.model_dump_json()


@pytest.mark.parametrize(
    "script",
    [
        "echo 'ERROR: no such branch at https://me:pw@host.example/a' >&2; exit 1",
        "true",  # exits with 0, but writes no wheel
        'echo >"$wheels/a-1-py3-none-any.whl"; echo >"$wheels/b-1-py3-none-any.whl"',
        "echo '\\033[31mred\\033[0m' >&2; exit 1",
        "i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i + 1)); done; exit 1",
    ],
    ids=["fails", "builds nothing", "builds two", "colours", "talks"],
)
def test_a_failed_build_of_a_url_is_reported_without_credentials(
    tmp_path: Path, pip: Path, script: str
) -> None:
    does(pip, script)
    with pytest.raises(SubjectError) as caught:
        resolve("git+https://me:pw@host.example/a", tmp_path / "subjects")
    first, *end = str(caught.value).splitlines()
    assert first == "The subject git+https://***@host.example/a cannot be built into a wheel:"
    assert len(end) <= 6
    assert "pw" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_build_is_stopped_at_the_time_limit(
    tmp_path: Path, pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixci.locks.wheel_build.BUILD_SECONDS", 0.1)
    does(pip, "sleep 60")
    with pytest.raises(SubjectError, match=r"was not built within 0 s\."):
        resolve("https://host.example/a.zip", tmp_path / "subjects")


def test_an_unwritable_folder_of_wheels_is_reported(tmp_path: Path, pip: Path) -> None:
    does(pip, "true")
    (tmp_path / "subjects").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFilesError, match=f"cannot store the wheel in {tmp_path}/subjects: "):
        resolve("https://host.example/a.zip", tmp_path / "subjects")


def test_timestamps_in_a_wheel_come_from_the_commit(pip: Path, tmp_path: Path) -> None:
    does(pip, f"echo $SOURCE_DATE_EPOCH >>{tmp_path}/epochs; exit 1")
    (folder := tmp_path / "toy").mkdir()
    (folder / "setup.py").write_text("", encoding="utf-8")
    with pytest.raises(SubjectError):
        resolve(str(folder), tmp_path / "subjects")
    commit_all(folder)
    with pytest.raises(SubjectError):
        resolve(str(folder), tmp_path / "subjects")

    git = ["git", "-C", str(folder), "log", "-1", "--format=%ct"]
    made = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    assert (tmp_path / "epochs").read_text().split() == ["315532800", made]


# Commits


def subject_of(tmp_path: Path, spec: str) -> Subject:
    return asyncio.run(resolve_subject(spec, tmp_path / "subjects")).subject


def test_a_folder_has_its_checked_out_commit(tmp_path: Path) -> None:
    folder = a_project(tmp_path / "toy")
    assert subject_of(tmp_path, str(folder)).commit is None

    commit = commit_all(folder)
    assert subject_of(tmp_path, str(folder)).commit == commit

    (folder / "notes.txt").write_text("not tracked", encoding="utf-8")
    assert subject_of(tmp_path, str(folder)).commit == commit
    a_project(folder, code="answer = 42")
    assert subject_of(tmp_path, str(folder)).commit == f"{commit}+dirty"


def test_an_untracked_folder_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / "outer.txt").write_text("outer", encoding="utf-8")
    commit_all(tmp_path)

    assert subject_of(tmp_path, str(a_project(tmp_path / "toy"))).commit is None


def test_changes_outside_the_folder_do_not_make_its_commit_dirty(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    folder = a_project(tmp_path / "repository" / "toy")
    (other := tmp_path / "repository" / "other.txt").write_text("one", encoding="utf-8")
    commit = commit_all(tmp_path / "repository")
    other.write_text("two", encoding="utf-8")

    assert subject_of(tmp_path, str(folder)).commit == commit


def test_a_repository_url_has_the_commit_that_was_built(tmp_path: Path) -> None:
    commit = commit_all(a_project(tmp_path / "toy"))
    url = f"git+{(tmp_path / 'toy').as_uri()}"

    assert subject_of(tmp_path, url).commit == commit
    assert subject_of(tmp_path, f"toy @ {url}@main").commit == commit
