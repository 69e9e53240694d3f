import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
import uv
from command_line import Done, run_command
from factories import (
    RUN,
    a_cell,
    a_check,
    a_lock,
    a_result,
    a_run,
    an_engine,
    an_own_wheel,
    digest_of_file,
    write_wheel,
)
from packaging.requirements import Requirement

from matrixci.errors import ExitCode, NotGreenError, RunFilesError, UsageError
from matrixci.locks.lock import Lock, Pin
from matrixci.locks.own_wheels import with_own_wheels
from matrixci.model import (
    Attestation,
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    LockRecord,
    Reason,
)
from matrixci.reports.constraints import constraints
from matrixci.reports.last_green import last_green
from matrixci.reports.provenance import environment
from matrixci.runs.folder import RunFolder, read_run
from matrixci.runs.lock_file import read_lock
from matrixci.verdict.explanation import unverified_of
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun

CELL = a_cell()
PINS = (
    Pin(name="toy", version="1.0", url=None, hashes=("sha256:" + "a" * 64,), via=()),
    Pin(name="tool", version="2.0", url=None, hashes=("sha256:" + "b" * 64,), via=("toy",)),
)
LOCK = Lock(pins=tuple(sorted(PINS, key=lambda pin: pin.name)), torch_backend=None)
CHECKS = (
    a_check("test_a.py::test_one"),
    a_check("test_a.py::test_two"),
    a_check("test_a.py::test_known", CheckOutcome.KNOWN_ISSUE, reason="a/b#1: not mended yet"),
    a_check("test_g.py::test_gpu", CheckOutcome.SKIPPED, reason="no GPU", need="gpu"),
)
ATTESTED = Attestation(
    python="3.12.7", machine="x86_64", distributions={}, modules={}, torch_cuda=None, gpus=0
)


def record(folder: RunFolder, cell: Cell, lock: Lock = LOCK) -> LockRecord:
    file = folder.write_lock(cell.id, lock.annotated)
    backend = lock.torch_backend
    return a_lock(lock.versions, digest=lock.digest, file=file, torch_backend=backend)


def store(
    folder: Path,
    *results: tuple[Cell, CellOutcome],
    lock: Lock = LOCK,
    checks: Sequence[CheckResult] = CHECKS,
    run: str = RUN,
    **fields: object,
) -> tuple[JudgedRun, Path]:
    """Store a run, and return it judged and its folder."""
    about = {"name": "toy", "spec": "toy", "requirement": "toy"}
    of = results or ((CELL, CellOutcome.PARTIAL),)
    work_dir = RunFolder.create(folder / ".matrixci", run)
    work_dir.write_run(a_run([cell for cell, _ in of], **{"id": run, "subject": about, **fields}))
    for cell, outcome in of:
        work_dir.write_cell(result_of(work_dir, cell, outcome, lock, checks))
    work_dir.point_latest()
    stored = read_run(work_dir.path)
    return judge(stored.run, stored.results, (), date(2026, 11, 21)), work_dir.path


def result_of(
    work_dir: RunFolder, cell: Cell, outcome: CellOutcome, lock: Lock, checks: Sequence[CheckResult]
) -> CellResult:
    green = outcome in {CellOutcome.PASSED, CellOutcome.PARTIAL}
    return a_result(
        cell,
        outcome,
        checks if green else (),
        reason=Reason.OOM if outcome is CellOutcome.FAILED else None,
        message="" if green else "It ran out of memory.\nmore",
        lock=None if outcome is CellOutcome.UNSATISFIABLE else record(work_dir, cell, lock),
        attestation=ATTESTED if green else None,
        run=work_dir.path.name,
    )


def test_header_says_what_was_verified(tmp_path: Path) -> None:
    judged, folder = store(tmp_path)
    text = constraints(judged, folder, CELL.id)[CELL.id]
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[1:-1] == [
        "# Known-good constraints for toy 1.0",
        "#",
        "# verified for: python 3.12, numpy 2.x, device cpu",
        "# ran on:       Python 3.12.7, x86_64",
        "# checks:       2 of 4 passed, 1 failed (known issue), 1 skipped",
        "# known issue:  test_a.py::test_known: a/b#1: not mended yet",
        "# NOT verified: 1 check (no GPU)",
        "# NOT verified: anything on a GPU",
        f"# cell:         {CELL.id}",
        f"# run:          {RUN}, 2026-11-21",
        "# made by:      matrixci 0.1.0, uv 0.13.9",
        "#",
        f"# use:          pip install -c {CELL.id}.txt PACKAGE",
    ]
    assert text.endswith("\ntool==2.0\ntoy==1.0\n")
    hashed = constraints(judged, folder, CELL.id, hashes=True)[CELL.id]
    assert hashed.endswith(f"\n{LOCK.text}")
    assert f"# use:          pip install --require-hashes -r {CELL.id}.txt\n" in hashed


def test_pin_of_a_built_wheel_names_its_source(tmp_path: Path) -> None:
    own = an_own_wheel("tool", digest="b" * 64)
    judged, folder = store(tmp_path, lock=with_own_wheels(LOCK, [own]), own_wheels=[own])
    text = constraints(judged, folder, CELL.id)[CELL.id]
    assert text.endswith(f"\n# tool is built from {own.origin}\ntool==2.0\ntoy==1.0\n")
    assert f"# tool is the local wheel {own.wheel}:\n" in text
    hashed = constraints(judged, folder, CELL.id, hashes=True)[CELL.id]
    assert f"# tool is built from {own.origin}\ntool==2.0 \\\n" in hashed


def test_packages_of_the_harness_are_left_out(tmp_path: Path) -> None:
    needs = {"iniconfig": ("pytest",), "pluggy": ("pytest", "tool"), "pytest": ()}
    pins = tuple(
        Pin(name=name, version="1.0", url=None, hashes=(), via=via) for name, via in needs.items()
    )
    judged, folder = store(tmp_path, lock=Lock(pins=(*pins, *LOCK.pins), torch_backend=None))
    lines = constraints(judged, folder, CELL.id)[CELL.id].splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "pluggy==1.0",
        "tool==2.0",
        "toy==1.0",
    ]


def test_failed_check_of_severity_warning_is_counted(tmp_path: Path) -> None:
    warned = a_check("test_a.py::test_warned", CheckOutcome.FAILED, severity="warning")
    judged, folder = store(tmp_path, checks=[a_check(), warned])
    text = constraints(judged, folder, CELL.id)[CELL.id]
    assert "# checks:       1 of 2 passed, 1 failed (severity warning)\n" in text
    assert "# warning:      test_a.py::test_warned failed\n" in text


def test_header_names_restrictions(tmp_path: Path) -> None:
    cuda = a_cell(device="cuda")
    judged, folder = store(
        tmp_path,
        (cuda, CellOutcome.PARTIAL),
        lock=Lock(pins=LOCK.pins, torch_backend="cu130"),
        check_filter="numpy",
        as_of="2026-08-01",
        subject={
            "name": "toy",
            "spec": "./toy",
            "wheel": "toy-1.0-py3-none-any.whl",
            "requirement": "toy @ file:///somewhere/toy-1.0-py3-none-any.whl",
        },
    )
    text = constraints(judged, folder, cuda.id)[cuda.id]
    for line in (
        "# NOT verified: anything on a GPU (the engine had none)\n",
        "# NOT verified: checks that do not match 'numpy'\n",
        f"# run:          {RUN}, 2026-11-21, as of 2026-08-01\n",
        "# torch is the cu130 build from PyTorch's index: add that index,\n",
        "# or use uv with --torch-backend cu130\n",
        "# toy is the local wheel toy-1.0-py3-none-any.whl:\n",
    ):
        assert line in text
    assert "somewhere" not in text


def test_unenforced_limits_are_named(tmp_path: Path) -> None:
    engine = an_engine(unenforced=("memory", "pids"))
    judged, folder = store(tmp_path, engine=engine)
    text = constraints(judged, folder, CELL.id)[CELL.id]
    assert "# NOT verified: limits on memory, pids, which the engine did not enforce\n" in text
    assert ("limits not enforced", "memory, pids") in environment(judged)


def test_unenforced_limits_are_named_per_cell(tmp_path: Path) -> None:
    """Cells of a plan run on different engines, and results may come from an earlier run."""
    other = a_cell(numpy="1.x")
    cells = ((CELL, CellOutcome.PASSED), (other, CellOutcome.PASSED))
    judged, folder = store(tmp_path, *cells, engine=an_engine(unenforced=("memory",)))
    limits = dict.fromkeys((CELL.id, other.id), ())
    judged = with_unenforced(judged, {**limits, other.id: ("pids",)})
    files = constraints(judged, folder, "*")
    assert "# NOT verified: limits on pids, which the engine" in files[other.id]
    assert "limits on" not in files[CELL.id]
    assert ("limits not enforced", "pids (1 of 2 cells)") in environment(judged)
    (line_of_limits,) = (line for line in unverified_of(judged) if "limits" in line)
    assert line_of_limits == "limits on pids (1 of 2 cells), which the engine did not enforce"
    enforced = environment(with_unenforced(judged, limits))
    assert "limits not enforced" not in dict(enforced)
    assert not any("limits" in line for line in unverified_of(with_unenforced(judged, limits)))


def with_unenforced(judged: JudgedRun, limits: Mapping[str, tuple[str, ...]]) -> JudgedRun:
    """Return a judged run whose cells recorded unenforced limits."""
    cells = []
    for cell in judged.cells:
        assert cell.result is not None
        result = cell.result.model_copy(update={"unenforced": limits[cell.cell.id]})
        cells.append(cell.model_copy(update={"result": result}))
    return judged.model_copy(update={"cells": tuple(cells)})


def test_every_line_is_a_comment_or_a_pin(tmp_path: Path) -> None:
    # Text from a container may be anything.
    hostile = a_check(
        "test_a.py::test_known",
        CheckOutcome.KNOWN_ISSUE,
        reason="x\nevil==1.0\n--index-url http://a",
    )
    judged, folder = store(tmp_path, checks=[a_check(), hostile])
    text = constraints(judged, folder, CELL.id, hashes=True)[CELL.id]
    for line in text.splitlines():
        if not line.startswith(("#", "    --hash=sha256:")):
            assert str(Requirement(line.removesuffix(" \\")).specifier).startswith("==")
    assert next(line for line in text.splitlines() if "evil" in line).startswith("# ")


def test_index_in_a_stored_lock_is_not_written(tmp_path: Path) -> None:
    judged, folder = store(tmp_path)
    (path,) = (folder / "locks").iterdir()
    stored = path.read_text(encoding="utf-8")
    path.write_text(f"--index-url https://user:secret@host.example/\n{stored}", encoding="utf-8")
    assert "secret" not in constraints(judged, folder, CELL.id)[CELL.id]


def test_modified_lock_is_refused(tmp_path: Path) -> None:
    judged, folder = store(tmp_path)
    (path,) = (folder / "locks").iterdir()
    path.write_text(path.read_text(encoding="utf-8").replace("toy==1.0", "toy==1.1"))
    with pytest.raises(RunFilesError, match="was changed: its digest differs"):
        constraints(judged, folder, CELL.id)
    path.unlink()
    with pytest.raises(RunFilesError, match="Cannot read the lock"):
        constraints(judged, folder, CELL.id)


def test_lock_outside_of_the_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text(LOCK.text, encoding="utf-8")
    (tmp_path / "run").mkdir()
    outside = a_lock(LOCK.versions, digest=LOCK.digest, file="../outside.txt")
    with pytest.raises(RunFilesError, match="is outside the run folder"):
        read_lock(tmp_path / "run", outside, a_run())


def test_lock_survives_a_round_trip(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, RUN)
    assert read_lock(folder.path, record(folder, CELL), a_run()) == LOCK
    own = a_run(
        subject={
            "name": "toy",
            "spec": "x",
            "requirement": "toy @ file:///a/toy-1.0+cpu-py3.whl",
            "wheel": "toy-1.0+cpu-py3-none-any.whl",
        }
    )
    lock = read_lock(folder.path, record(folder, CELL), own)
    lines = [pin.install_line("/wheels").split()[:3] for pin in lock.pins]
    assert lines[1] == ["toy", "@", "file:///wheels/toy-1.0%2Bcpu-py3-none-any.whl"]
    assert lock.digest == LOCK.digest


# A cell that is not green


@pytest.mark.parametrize(
    "outcome",
    [outcome for outcome in CellOutcome if outcome not in {"passed", "partial"}],
)
def test_cell_that_is_not_green_is_refused(tmp_path: Path, outcome: CellOutcome) -> None:
    other = a_cell("3.13")
    judged, folder = store(tmp_path, (CELL, outcome), (other, CellOutcome.PASSED))
    with pytest.raises(NotGreenError) as caught:
        constraints(judged, folder, CELL.id)
    assert caught.value.exit_code is ExitCode.FAILURES
    first, last = str(caught.value).splitlines()
    assert first.startswith(
        f"No known-good constraints for {CELL.id}: the cell is {outcome}: It ran out"
    )
    assert last == f"Green cells: {other.id}"


def test_glob_writes_the_green_cells_only(tmp_path: Path) -> None:
    of = [a_cell(python) for python in ("3.11", "3.12", "3.13")]
    outcomes = (CellOutcome.PASSED, CellOutcome.FAILED, CellOutcome.PARTIAL)
    judged, folder = store(tmp_path, *zip(of, outcomes, strict=True))
    assert list(constraints(judged, folder, "*")) == [of[0].id, of[2].id]
    with pytest.raises(NotGreenError):
        constraints(judged, folder, "py3.12*")


def test_unknown_cell_is_reported(tmp_path: Path) -> None:
    judged, folder = store(tmp_path)
    with pytest.raises(UsageError, match=rf'matches py3.21-numpy2-cpu; did you mean "{CELL.id}"'):
        constraints(judged, folder, "py3.21-numpy2-cpu")


# The command

Command = Callable[..., Done]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return lambda *words: run_command(monkeypatch, capsys, tmp_path, "constraints", *words)


def test_only_the_file_is_printed(command: Command, tmp_path: Path) -> None:
    judged, folder = store(tmp_path)
    done = command(CELL.id)
    assert (done.code, done.err) == (ExitCode.READY, "")
    assert done.out == constraints(judged, folder, CELL.id)[CELL.id]


def test_files_are_written_to_a_folder(command: Command, tmp_path: Path) -> None:
    of = [a_cell(python) for python in ("3.11", "3.12", "3.13")]
    outcomes = (CellOutcome.PASSED, CellOutcome.FAILED, CellOutcome.PARTIAL)
    judged, folder = store(tmp_path, *zip(of, outcomes, strict=True))
    every = constraints(judged, folder, "*")
    done = command("py3.*", "--out", "good")
    assert (done.code, done.out) == (ExitCode.READY, "")
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "good").iterdir()}
    assert written == {f"{name}.txt": text for name, text in every.items()}
    assert f"left out, not green or not matching: {of[1].id}" in done.err
    for out in ("one.txt", "good"):
        assert command(of[0].id, "--out", out, "--run", RUN[:8]).code == ExitCode.READY
    assert (tmp_path / "one.txt").read_text("utf-8") == every[of[0].id]


def test_refusal_leaves_stdout_empty(command: Command, tmp_path: Path) -> None:
    of = [a_cell("3.12"), a_cell("3.13"), a_cell("3.11")]
    outcomes = (CellOutcome.PASSED, CellOutcome.PASSED, CellOutcome.FAILED)
    store(tmp_path, *zip(of, outcomes, strict=True))
    for words, code, message in (
        ([of[2].id], ExitCode.FAILURES, "No known-good constraints"),
        (["*"], ExitCode.USAGE, "Name a folder: --out DIR"),
        (["nothing"], ExitCode.USAGE, "matches nothing"),
    ):
        done = command(*words)
        assert (done.code, done.out) == (code, "")
        assert message in done.err


# The last run in which a cell was green

RED, OLD, NEWER = (f"202611{day}T100000Z-{'a' * 6}" for day in ("20", "10", "15"))


@pytest.fixture
def red(tmp_path: Path) -> JudgedRun:
    """Return a run with a red cell, stored after two runs in which the cell was green."""
    store(tmp_path, (CELL, CellOutcome.PASSED), run=OLD)
    store(tmp_path, (CELL, CellOutcome.PASSED), run=NEWER, checks=[a_check()])
    elsewhere = {"name": "other", "spec": "other", "requirement": "other"}
    other = f"20261118T100000Z-{'b' * 6}"
    store(tmp_path, (CELL, CellOutcome.PASSED), run=other, subject=elsewhere)
    return store(tmp_path, (CELL, CellOutcome.FAILED), run=RED)[0]


@pytest.mark.usefixtures("red")
def test_refusal_names_the_last_green_run(command: Command) -> None:
    done = command(CELL.id)
    assert (done.code, done.out) == (ExitCode.FAILURES, "")
    assert f"{CELL.id} was last green on 2026-11-21: " in done.err
    words = done.err.splitlines()[-1].partition(f" constraints {CELL.id} ")[2].split()
    assert words == ["--run", NEWER]
    assert f"# run:          {NEWER}" in command(CELL.id, *words).out


def test_unreadable_run_is_not_the_last_green_one(red: JudgedRun, tmp_path: Path) -> None:
    work_dir = tmp_path / ".matrixci"
    (work_dir / "runs" / NEWER / "run.json").write_text("{")
    found = last_green(work_dir, red, CELL.id)
    assert found is not None
    assert found.id == OLD


# Tools that read the files


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return a folder with constraints, a version with hashes, and the wheels in `wheels`."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    toy = write_wheel(wheels, "toy-1.0", ["tool"])
    tool = write_wheel(wheels, "tool-2.0")
    write_wheel(wheels, "tool-3.0")
    write_wheel(wheels, "other-1.0")
    hashes = {path: f"sha256:{digest_of_file(path)}" for path in (toy, tool)}
    pins = (
        Pin(name="tool", version="2.0", url=None, hashes=(hashes[tool],), via=("toy",)),
        Pin(name="toy", version="1.0", url=None, hashes=(hashes[toy],), via=()),
    )
    lock = Lock(pins=pins, torch_backend=None)
    own = an_own_wheel("tool", wheel=tool.name, digest=digest_of_file(tool))
    judged, folder = store(tmp_path, lock=with_own_wheels(lock, [own]), own_wheels=[own])
    for name, hashed in {"constraints.txt": False, "hashes.txt": True}.items():
        text = constraints(judged, folder, CELL.id, hashes=hashed)[CELL.id]
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


PIP = [sys.executable, "-m", "pip", "install", "--dry-run", "--disable-pip-version-check"]
UV = [uv.find_uv_bin(), "pip"]
READERS = {
    "pip -c": [*PIP, "toy", "other", "-c"],
    "pip --require-hashes -r": [*PIP, "--require-hashes", "-r"],
    "uv compile -c": [*UV, "compile", "toy.in", "--generate-hashes", "-c"],
    "uv install -c": [*UV, "install", "--dry-run", "--python", sys.executable, "toy", "-c"],
    "uv install --require-hashes -r": [
        *(*UV, "install", "--dry-run", "--python", sys.executable, "--require-hashes", "-r"),
    ],
}


def read_by(reader: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "toy.in").write_text("toy\n", encoding="utf-8")
    file = "hashes.txt" if reader.endswith(" -r") else "constraints.txt"
    argv = [*READERS[reader], file, "--no-index", "--find-links", "wheels"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("reader", READERS)
def test_pip_and_uv_accept_the_files(written: Path, reader: str) -> None:
    done = read_by(reader, written)
    assert done.returncode == 0, done.stderr
    said = (done.stdout + done.stderr).replace("==", "-")
    assert "tool-2.0" in said
    assert "tool-3.0" not in said


# A dry run of uv downloads nothing, so it does not check hashes.
def test_pip_checks_the_hashes(written: Path) -> None:
    write_wheel(written / "wheels", "tool-2.0", ["other; python_version < '2'"])
    done = read_by("pip --require-hashes -r", written)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
