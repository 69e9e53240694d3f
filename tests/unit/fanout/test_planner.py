"""The command that plans, with a real resolver and an index of a few wheels."""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import Done, run_command
from factories import digest_of_file, write_wheel
from source_project import a_project, commit_all
from tiny_index import serving

from matrixci.errors import ExitCode
from matrixci.fanout.plan import Plan, read_plan
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.own_wheels import wheel_path

PLAN = ".matrixci/plan/plan.json"
MATRIX = """\
subject: toy
retries: 0
axes:
  python: {"3.12": , "3.13": }
  device: {cpu: {id: cpu}, cuda: {id: cuda, gpu: true}}
"""
PlanCommand = Callable[..., Done]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return the folder of the index: the toy's newest release is not for Python 3.12."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "toy-1.0")
    write_wheel(folder, "toy-2.0", python=">=3.13")
    write_wheel(folder, "pytest-8.4.0")
    write_wheel(folder, f"uv-{version('uv')}")
    return folder


@pytest.fixture
def plan(
    tmp_path: Path,
    wheels: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[PlanCommand]:
    """Return a function that plans in a folder with a matrix."""
    (tmp_path / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GITHUB_OUTPUT", "GITHUB_ACTIONS", "MATRIXCI_GPU_RUNNER"):
        monkeypatch.delenv(name, raising=False)
    with serving(wheels) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        yield lambda *words: run_command(monkeypatch, capsys, tmp_path, "plan", *words)


def planned(tmp_path: Path) -> Plan:
    return read_plan(tmp_path / PLAN)


def test_every_cell_is_locked_once(plan: PlanCommand, tmp_path: Path) -> None:
    done = plan()
    assert done.code == ExitCode.READY, done.err
    made = planned(tmp_path)
    assert [cell.id for cell in made.run.cells] == [
        "py3.12-cpu",
        "py3.12-cuda",
        "py3.13-cpu",
        "py3.13-cuda",
    ]
    locks = {name: made.answer(name) for name in made.cells}
    versions = {
        name: lock.versions["toy"] for name, lock in locks.items() if isinstance(lock, Lock)
    }
    assert set(versions.values()) == {"1.0", "2.0"}
    assert versions["py3.12-cpu"] == versions["py3.12-cuda"] == "1.0"
    assert len(made.locks) == 2
    assert set(made.run.older) == {"py3.12-cpu", "py3.12-cuda"}
    assert made.tools["3.13"].parsed().versions == {"uv": version("uv")}
    assert (made.run.engine, made.run.ended, made.run.plan) == (None, None, None)
    assert "py3.12-cpu" in done.out
    assert "ubuntu-24.04" in done.out
    assert f"wrote the plan of run {made.run.id} to {PLAN}" in done.out


def test_unsatisfiable_cell_is_planned_as_unsatisfiable(plan: PlanCommand, tmp_path: Path) -> None:
    done = plan("--subject", "toy>=2", "--output", "here.json")
    assert done.code == ExitCode.READY
    made = read_plan(tmp_path / "here.json")
    assert set(made.unsatisfiable) == {"py3.12-cpu", "py3.12-cuda"}
    assert isinstance(made.answer("py3.12-cpu"), Unsatisfiable)
    assert "unsatisfiable" in done.out
    assert made.run.command == ("matrix", "--subject", "toy>=2")


def test_a_selection_is_planned(plan: PlanCommand, tmp_path: Path) -> None:
    assert plan("--python", "3.12", "--cell", "*-cpu", "--shard-size=2").code == ExitCode.READY
    made = planned(tmp_path)
    assert list(made.cells) == ["py3.12-cpu"]
    assert set(made.run.unselected) == {"py3.12-cuda", "py3.13-cpu", "py3.13-cuda"}
    assert made.run.command == ("matrix", "--python", "3.12", "--cell", "*-cpu")


def test_built_wheel_of_the_subject_is_part_of_the_plan(
    plan: PlanCommand, tmp_path: Path, wheels: Path
) -> None:
    (tmp_path / "own").mkdir()
    wheel = write_wheel(tmp_path / "own", "toy-3.0")
    output = tmp_path / "elsewhere" / "plan.json"
    assert plan("--subject", str(wheel), "--output", str(output)).code == ExitCode.READY
    assert (output.parent / wheel.name).read_bytes() == wheel.read_bytes()
    assert not list(wheels.glob("toy-3*"))


def test_a_password_in_the_subjects_url_is_in_no_plan(
    plan: PlanCommand, tmp_path: Path, wheels: Path
) -> None:
    with serving(wheels) as address:
        url = address.replace("//", "//me:secret@").replace("/simple", "/files")
        text = MATRIX.replace("subject: toy", f"subject: {url}/toy-1.0-py3-none-any.whl")
        (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")
        done = plan()
    assert done.code == ExitCode.READY, done.err
    assert "secret" not in (tmp_path / PLAN).read_text(encoding="utf-8")
    assert "secret" not in done.out + done.err


@pytest.mark.parametrize("label", ["", "gpu-runner", "self-hosted, gpu"])
def test_gpu_runner_is_named_by_a_variable(
    plan: PlanCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    monkeypatch.setenv("MATRIXCI_GPU_RUNNER", label)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = plan("--python", "3.13")
    runner = planned(tmp_path).cells["py3.13-cuda"].runner
    warned = "1 cell with a GPU will run on ordinary runners" in done.err
    assert warned == (not label)
    assert ("::notice title=no GPU runner::" in done.out) == (not label)
    assert runner == (tuple(label.split(", ")) if label else ("ubuntu-24.04",))
    assert planned(tmp_path).cells["py3.13-cpu"].runner == ("ubuntu-24.04",)


def test_job_outputs_are_written_for_the_workflow(
    plan: PlanCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert plan("--shard-size", "3").code == ExitCode.READY
    lines = (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines)
    assert given["run"] == planned(tmp_path).run.id
    assert given["cells"] == "4"
    assert [len(shard["cells"]) for shard in json.loads(given["shards"])] == [3, 1]


def test_an_index_that_does_not_answer_is_infrastructure(
    plan: PlanCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, status=503) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        done = plan()
    assert done.code == ExitCode.INFRASTRUCTURE
    assert not (tmp_path / PLAN).exists()


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("tooy", 'does not have tooy (the subject). Did you mean "toy"?'),
        ("Never_Heard.of", "does not have Never_Heard.of (the subject)"),
        ("toy>=9", "does not have toy>=9: only toy<=2.0 is available (the subject)"),
        ("toy==1.5", "does not have toy==1.5 (the subject)"),
    ],
)
def test_subject_without_a_release_is_a_mistake(
    plan: PlanCommand, tmp_path: Path, requirement: str, message: str
) -> None:
    assert plan().code == ExitCode.READY
    (tmp_path / PLAN).unlink()

    done = plan("--subject", requirement)

    assert done.code == ExitCode.USAGE
    assert message in done.err
    assert not (tmp_path / PLAN).exists()


def test_every_misspelt_requirement_is_named(plan: PlanCommand, tmp_path: Path) -> None:
    more = 'requires: [nmupy, "pytest>=99"]\n'
    (tmp_path / "matrix.yaml").write_text(more + MATRIX, encoding="utf-8")

    done = plan()

    assert done.code == ExitCode.USAGE
    assert "does not have nmupy (a requirement of matrix.yaml)" in done.err
    assert "does not have pytest>=99: only pytest==8.4.0 is available" in done.err


def test_folder_with_the_name_of_the_subject_is_suggested(
    plan: PlanCommand, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()

    done = plan("--subject", "mine")

    assert done.code == ExitCode.USAGE
    assert "To test the folder of that name, write ./mine" in done.err


@pytest.mark.parametrize(
    "value", ['{requires: "toy>=9"}', '{requires: ["toy==2.0", "toy==1.0"]}', '{requires: "toy<0"}']
)
def test_a_value_of_an_axis_may_wait_for_a_release(
    plan: PlanCommand, tmp_path: Path, value: str
) -> None:
    text = MATRIX + f"  kind: {{plain: {{id: plain}}, next: {value}}}\n"
    (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")

    done = plan()

    assert done.code == ExitCode.READY, done.err
    assert {name for name in planned(tmp_path).unsatisfiable if "next" in name}
    assert not {name for name in planned(tmp_path).unsatisfiable if "next" not in name}


def test_a_value_of_an_axis_with_an_unknown_name_is_a_mistake(
    plan: PlanCommand, tmp_path: Path
) -> None:
    text = MATRIX + "  kind: {plain: {id: plain}, next: {requires: tooy}}\n"
    (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")

    done = plan()

    assert done.code == ExitCode.USAGE
    assert "does not have tooy (a requirement of matrix.yaml)" in done.err


def test_requirement_missing_for_one_python_is_unsatisfiable_there(
    plan: PlanCommand, tmp_path: Path
) -> None:
    done = plan("--subject", "toy>=2", "--python", "3.12")

    assert done.code == ExitCode.READY, done.err
    assert len(planned(tmp_path).unsatisfiable) == 2


@pytest.mark.parametrize(
    "words", [["toy==1.5", "--as-of", "2024-01-01"], ["toy==2.0+cpu"]], ids=["day", "local"]
)
def test_version_of_another_index_or_day_is_left_to_its_cells(
    plan: PlanCommand, tmp_path: Path, words: list[str]
) -> None:
    done = plan("--subject", *words)

    assert done.code == ExitCode.READY, done.err
    assert len(planned(tmp_path).unsatisfiable) == 4


def test_index_without_the_harness_is_reported(
    plan: PlanCommand, tmp_path: Path, wheels: Path
) -> None:
    (wheels / "pytest-8.4.0-py3-none-any.whl").unlink()

    done = plan("--subject", "tooy")

    assert done.code == ExitCode.INFRASTRUCTURE
    assert "does not have pytest either" in done.err
    assert not (tmp_path / PLAN).exists()


# Requirements with a URL


def with_requirements(tmp_path: Path, *requires: str) -> None:
    text = f"{MATRIX}requires: {json.dumps(requires)}\n"
    (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")


def test_a_requirement_from_a_repository_is_locked_at_its_commit(
    plan: PlanCommand, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "tool", "tool", "2.0")
    commit = commit_all(project)
    spec = f"tool @ git+{project.as_uri()}"
    with_requirements(tmp_path, spec)
    done = plan("--python", "3.13", "--device", "cpu")
    assert done.code == ExitCode.READY, done.err
    assert f"preparing the wheel of {spec}" in done.err
    assert "toy 2.0, tool 2.0" in done.out
    first = planned(tmp_path)
    (own,) = first.run.own_wheels
    assert (own.name, own.spec, own.commit) == ("tool", spec, commit)
    assert own.origin == f"git+{project.as_uri()}@{commit}"
    assert (
        digest_of_file((tmp_path / PLAN).parent / wheel_path(own)) == own.digest
    )  # next to the plan
    lock = first.answer("py3.13-cpu")
    assert isinstance(lock, Lock)
    (pin,) = (pin for pin in lock.pins if pin.name == "tool")
    assert (pin.hashes, pin.source) == ((f"sha256:{own.digest}",), own.origin)
    # The same commit is the same lock, and another is another one.
    plan("--python", "3.13", "--device", "cpu")
    assert planned(tmp_path).locks.keys() == first.locks.keys()
    a_project(project, "tool", "2.0", code="changed = True")
    commit_all(project)
    plan("--python", "3.13", "--device", "cpu")
    (changed,) = planned(tmp_path).run.own_wheels
    assert changed.commit != commit
    assert planned(tmp_path).locks.keys() != first.locks.keys()


def test_a_password_in_a_requirements_url_is_in_no_plan(
    plan: PlanCommand, tmp_path: Path, wheels: Path
) -> None:
    write_wheel(wheels, "tool-2.0")
    with serving(wheels) as address:
        url = address.replace("//", "//me:secret@").replace("/simple", "/files")
        wheel = f"{url}/tool-2.0-py3-none-any.whl"
        text = MATRIX.replace("id: cpu", f"id: cpu, requires: 'tool @ {wheel}'")
        (tmp_path / "matrix.yaml").write_text(text, encoding="utf-8")
        done = plan()
    assert done.code == ExitCode.READY, done.err
    assert "secret" not in (tmp_path / PLAN).read_text(encoding="utf-8")
    assert "secret" not in done.out + done.err
    made = planned(tmp_path)
    assert [made.run.cells[0].requires, made.run.cells[1].requires] == [
        (made.run.own_wheels[0].spec,),
        (),
    ]


def test_cells_may_have_wheels_of_one_name_by_their_markers(
    plan: PlanCommand, tmp_path: Path
) -> None:
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
        write_wheel(folder, "tool-2.0", [f"toy; extra == '{folder.name}'"])
    old, new = (f"tool @ {folder.as_uri()}/tool-2.0-py3-none-any.whl" for folder in folders)
    with_requirements(
        tmp_path, f"{old} ; python_version < '3.13'", f"{new} ; python_version > '3.12'"
    )
    assert plan("--device", "cpu").code == ExitCode.READY
    made = planned(tmp_path)
    sources = []
    for name in ("py3.12-cpu", "py3.13-cpu"):
        lock = made.answer(name)
        assert isinstance(lock, Lock)
        sources += [pin.source for pin in lock.pins if pin.name == "tool"]
    assert sources == [old.partition(" @ ")[2], new.partition(" @ ")[2]]


def test_wheel_that_a_cell_cannot_install_is_reported(plan: PlanCommand, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    wheel = write_wheel(tmp_path / "own", "tool-2.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    other = write_wheel(tmp_path / "own", "tool-3.0")
    with_requirements(tmp_path, f"tool @ {wheel.as_uri()}")
    done = plan("--device", "cpu")
    assert done.code == ExitCode.READY, done.err
    assert list(planned(tmp_path).unsatisfiable) == ["py3.12-cpu"]
    reason = planned(tmp_path).unsatisfiable["py3.12-cpu"].reason
    assert reason == f"the wheel {wheel.name} is not for Python 3.12"
    assert plan("--python", "3.12").code == ExitCode.USAGE
    with_requirements(tmp_path, f"tool @ {wheel.as_uri()}", f"tool @ {other.as_uri()}")
    assert plan("--python", "3.13", "--device", "cpu").code == ExitCode.READY
    (refusal,) = planned(tmp_path).unsatisfiable.values()
    assert refusal.reason == "tool is required from more than one URL"


def test_requirement_that_cannot_be_built_is_a_mistake(plan: PlanCommand, tmp_path: Path) -> None:
    spec = f"tool @ git+file://{tmp_path}/absent"
    with_requirements(tmp_path, spec)
    done = plan()
    assert done.code == ExitCode.USAGE
    assert f'The requirement "{spec}" cannot be built into a wheel:' in done.err
    assert f"'{tmp_path}/absent' does not appear to be a git repository" in done.err
    assert not (tmp_path / PLAN).exists()
