"""Resuming a run: its unfinished cells, and what is refused."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command_line import Done, run_command
from factories import (
    RUN,
    a_lock,
    a_result,
    a_run,
    an_engine,
    an_own_wheel,
    cells,
    digest_of_file,
    write_wheel,
)
from listeners import RecordingListener

from matrixci.engine.cleanup import EngineCleanup
from matrixci.engine.cleanup_plan import CurrentRun
from matrixci.engine.client import Engine
from matrixci.errors import ExitCode, UsageError
from matrixci.execution import execute as running
from matrixci.execution.cell_recorder import CellRecorder
from matrixci.execution.cell_runner import store_lock
from matrixci.execution.pipeline import Pipeline, RunCell
from matrixci.execution.pipeline_factory import build_tools
from matrixci.execution.resume import Resumption, prepare_resumption, unfinished
from matrixci.execution.retry import RetryPolicy
from matrixci.execution.run_context import RunContext
from matrixci.execution.run_setup import setup_of
from matrixci.execution.settings import ExecutionOptions
from matrixci.locks.lock import Lock, parse_lock
from matrixci.locks.own_wheels import StoredWheel, wheel_path
from matrixci.locks.providers import LockProvider
from matrixci.matrix.definition import Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.matrix.loader import load_matrix
from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    Reason,
    Run,
    StepName,
    Subject,
)
from matrixci.runs.folder import RunFolder, StoredRun, read_run
from matrixci.sandbox.files import read_sources

FINAL = {
    CellOutcome.PASSED,
    CellOutcome.PARTIAL,
    CellOutcome.FAILED,
    CellOutcome.UNSATISFIABLE,
    CellOutcome.BLOCKED,
}
AXES: dict[str, dict[str, dict[str, str]]] = {
    "python": {"3.12": {}, "3.13": {}},
    "numpy": {"2.x": {}},
    "device": {"cpu": {}},
}
TWO = cells(("3.12", "3.13"))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A matrix, checks, and a work_dir with a run of two cells."""

    folder: Path

    @property
    def work_dir(self) -> Path:
        return self.folder / ".matrixci"

    @property
    def run(self) -> Path:
        return self.work_dir / "runs" / RUN

    @property
    def checks(self) -> Path:
        return self.folder / "checks"

    @property
    def matrix(self) -> Path:
        return self.folder / "matrix.yaml"

    def load(self) -> Matrix:
        return load_matrix(self.matrix)

    def write(self, *outcomes: CellOutcome | None, **fields: object) -> RunFolder:
        """Write the run; a cell without an outcome has no file."""
        matrix = self.load()
        setup = setup_of(matrix, read_sources(self.checks), None).model_copy(
            update={"checks": "checks"}
        )
        digest = matrix_digest(matrix)
        message = {"setup": setup, "matrix_digest": digest, "command": ("matrix", "--jobs", "1")}
        folder = RunFolder.create(self.work_dir, RUN)
        folder.write_run(a_run(TWO, **{**message, **fields}))
        for cell, outcome in zip(TWO, outcomes, strict=True):
            if outcome is not None:
                folder.write_cell(a_result(cell, outcome))
        folder.point_latest()
        return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(folder=tmp_path)
    place.matrix.write_text(json.dumps({"subject": "transformers", "axes": AXES}))
    place.checks.mkdir()
    (place.checks / "test_a.py").write_text("def test_one():\n    pass\n")
    return place


def resumption(
    place: Place,
    stored: StoredRun | None = None,
    matrix: Matrix | None = None,
    options: ExecutionOptions | None = None,
) -> Resumption:
    return prepare_resumption(
        stored or read_run(place.run),
        matrix or place.load(),
        place.checks,
        place.work_dir,
        options or ExecutionOptions(),
    )


@pytest.mark.parametrize("outcome", [None, *CellOutcome])
def test_cells_without_a_final_result_are_unfinished(
    place: Place, outcome: CellOutcome | None
) -> None:
    place.write(CellOutcome.PASSED, outcome)

    left = unfinished(read_run(place.run))

    assert left == (() if outcome in FINAL else (TWO[1],))


@pytest.mark.parametrize("damage", ["", "{", "[" * 100_000, '{"schema_version": 1}'])
def test_damaged_result_is_not_final(place: Place, damage: str) -> None:
    place.write(CellOutcome.PASSED, CellOutcome.PASSED)
    (place.run / "cells" / f"{TWO[0].id}.json").write_text(damage)

    assert unfinished(read_run(place.run)) == (TWO[0],)


def test_run_is_resumed_with_its_settings(place: Place) -> None:
    place.write(
        CellOutcome.PASSED,
        CellOutcome.CANCELLED,
        check_filter="one",
        as_of="2026-01-31",
        interrupted=True,
        command=("matrix", "--fresh"),
    )

    what = resumption(place, options=ExecutionOptions(jobs=3))

    assert what.cells == (TWO[1],)
    assert (what.settings.check_filter, str(what.settings.as_of)) == ("one", "2026-01-31")
    assert (what.settings.options.jobs, what.settings.options.fresh) == (3, True)
    assert (what.run.id, what.run.command) == (RUN, ("matrix", "--fresh"))
    assert (what.run.ended, what.run.interrupted) == (None, False)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_required_limits_stay_required(place: Place, *, before: bool, asked: bool) -> None:
    place.write(CellOutcome.PASSED, None, require_limits=before)
    what = resumption(place, options=ExecutionOptions(require_limits=asked))
    assert what.settings.options.require_limits is (before or asked)
    assert what.run.require_limits is (before or asked)


def change_the_matrix(place: Place) -> None:
    text = json.loads(place.matrix.read_text())
    place.matrix.write_text(json.dumps({**text, "limits": {"check-timeout": 7}}))


def change_a_check(place: Place) -> None:
    (place.checks / "test_a.py").write_text("def test_one():\n    assert False\n")


def add_a_check(place: Place) -> None:
    (place.checks / "test_b.py").write_text("")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_the_matrix, "the matrix has changed"),
        (change_a_check, "the checks in .*, or matrixci's harness, have changed"),
        (add_a_check, "the checks in .*, or matrixci's harness, have changed"),
    ],
)
def test_run_with_changed_inputs_is_refused(
    place: Place, change: Callable[[Place], None], message: str
) -> None:
    place.write(CellOutcome.PASSED, None)
    change(place)

    with pytest.raises(UsageError, match=f"(?s)Cannot resume run .*{message}.*matrixci matrix"):
        resumption(place)


def test_all_changed_inputs_are_reported_together(place: Place) -> None:
    place.write(CellOutcome.PASSED, None)
    change_the_matrix(place)
    change_a_check(place)

    with pytest.raises(UsageError) as caught:
        resumption(place)

    assert "the matrix has changed" in str(caught.value)
    assert "harness, have changed" in str(caught.value)


def test_run_without_recorded_inputs_is_refused(place: Place) -> None:
    place.write(CellOutcome.PASSED, None, setup=None)

    with pytest.raises(UsageError, match=r"matrixci 0\.1\.0, which did not record"):
        resumption(place)


@pytest.mark.parametrize("gone", [False, True])
def test_the_subjects_wheel_must_be_the_same(place: Place, *, gone: bool) -> None:
    wheel = write_wheel(place.folder, "transformers-5.23.0")
    digest = digest_of_file(wheel)
    subject = {
        "name": "transformers",
        "spec": str(wheel),
        "requirement": f"transformers @ {wheel.as_uri()}#sha256={digest}",
        "wheel": wheel.name,
        "digest": digest,
    }
    place.write(CellOutcome.PASSED, None, subject=subject)
    stored, matrix = read_run(place.run), place.load()
    if gone:
        wheel.write_bytes(b"another")
        with pytest.raises(UsageError, match="the subject's wheel is missing or has changed"):
            resumption(place, stored, matrix)
    else:
        what = resumption(place, stored, matrix)
        assert what.settings.subject.wheel == wheel


@pytest.mark.parametrize("gone", [False, True])
def test_the_wheels_of_requirements_must_be_the_same(place: Place, *, gone: bool) -> None:
    wheel = write_wheel(place.folder, "tool-2.0")
    own = an_own_wheel(digest=digest_of_file(wheel))
    kept = place.work_dir / wheel_path(own)
    kept.parent.mkdir(parents=True)
    wheel.rename(kept)
    place.write(CellOutcome.PASSED, None, own_wheels=[own])
    stored, matrix = read_run(place.run), place.load()
    if gone:
        kept.write_bytes(b"another")
        with pytest.raises(
            UsageError, match=re.escape(f"the wheel of {own.spec} is missing: tool-2")
        ):
            resumption(place, stored, matrix)
    else:
        what = resumption(place, stored, matrix)
        assert what.settings.own_wheels == (StoredWheel(wheel=own, path=kept),)
        assert what.settings.wheels == {own.digest: kept}


# The command


Command = Callable[..., Done]


@pytest.fixture
def command(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return lambda *words: run_command(monkeypatch, capsys, place.folder, "matrix", *words)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(CellOutcome.PASSED, ExitCode.READY), (CellOutcome.BLOCKED, ExitCode.FAILURES)],
)
@pytest.mark.parametrize("name", [[], [RUN]])
def test_a_finished_run_says_so_and_exits_by_its_verdict(
    place: Place, command: Command, outcome: CellOutcome, code: ExitCode, name: list[str]
) -> None:
    place.write(CellOutcome.PASSED, outcome)

    done = command("--resume", *name)

    assert done.code == code
    assert done.err == f"The run {RUN} is finished: every cell has a final result.\n"
    assert "READY" in done.out


def test_run_killed_after_its_last_cell_is_marked_as_ended(place: Place, command: Command) -> None:
    place.write(CellOutcome.PASSED, CellOutcome.PASSED, interrupted=True, ended=None)

    assert command("--resume").code == ExitCode.READY

    run = read_run(place.run).run
    assert (run.ended is not None, run.interrupted) == (True, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "nothing"], "No run matches 'nothing'"),
        (["--resume", RUN, "--cell", "*"], "does not allow --cell"),
        (["--resume", RUN, "--tier", "nightly"], "does not allow --tier"),
        (["--resume", "--python", "3.12"], "does not allow --python"),
        (["--resume", RUN, "another"], "does not allow another"),
        (["--resume", "--as-of", "2026-01-31", "--fresh"], "does not allow --as-of, --fresh"),
    ],
)
def test_mistake_in_the_command_is_reported(
    place: Place, command: Command, words: list[str], message: str
) -> None:
    place.write(CellOutcome.PASSED, None)

    done = command(*words)

    assert done.code == ExitCode.USAGE
    assert message in done.err


def test_run_of_another_process_is_refused(place: Place, command: Command) -> None:
    folder = place.write(CellOutcome.PASSED, None)

    with folder.held():
        done = command("--resume", "--checks", str(place.checks))

    assert done.code == ExitCode.USAGE
    assert done.err == f"The run {RUN} is still in progress, in another process.\n"


# From the command to the folder; the engine is made up


class NoEngine(Engine):
    """An engine that makes nothing, and has nothing to remove."""

    def __init__(self) -> None:
        self.host = "unix:///nowhere"
        self.facts = an_engine()
        self.cleanup = NothingToClean()

    async def free_disk(self) -> int | None:
        return 2**40


class NothingToClean(EngineCleanup):
    """The cleanup of an engine with no containers and images."""

    def __init__(self) -> None:
        """Need no client."""

    async def sweep(self) -> int:
        return 0

    async def remove_run(self, run: str) -> None:
        assert run == RUN

    async def remove_superseded(self, run: CurrentRun) -> int:
        assert {cell.id for cell in TWO} >= run.cells
        return 0


def pipeline_of(context: RunContext, locks: LockProvider, run_cell: RunCell) -> Pipeline:
    tools = build_tools(context, locks, 1)
    return Pipeline(context, tools, run_cell, RetryPolicy(retries=0))


def passing(context: RunContext, locks: LockProvider) -> Pipeline:
    """Return a pipeline whose cells pass at once."""

    async def run_cell(recorder: CellRecorder) -> CellResult:
        with recorder.step(StepName.RESOLVE):
            await asyncio.sleep(0)
        return recorder.end(CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, "run again")

    return pipeline_of(context, locks, run_cell)


def test_only_unfinished_cells_run_in_the_same_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> Engine:
        await asyncio.sleep(0)
        return NoEngine()

    monkeypatch.setattr(Engine, "connect", connect)
    monkeypatch.setattr(running, "build_pipeline", passing)
    place.write(CellOutcome.PASSED, CellOutcome.PASSED, interrupted=True)
    kept, damaged = (place.run / "cells" / f"{cell.id}.json" for cell in TWO)
    damaged.write_text("{")
    before = kept.read_bytes()
    what = resumption(place)
    heard = RecordingListener()

    asyncio.run(running.resume(what, heard))

    stored = read_run(place.run)
    assert heard.cells == [TWO[1].id]
    assert damaged.name in heard.remarks[0]
    assert kept.read_bytes() == before
    assert stored.problems == ()
    assert stored.results[TWO[1].id].message == "run again"
    run: Run = stored.run
    assert (run.id, run.command, run.interrupted) == (RUN, ("matrix", "--jobs", "1"), False)
    assert run.ended is not None
    assert run.engine is not None


LOCK = Lock(
    pins=parse_lock("attrs==25.1.0 \\\n    --hash=sha256:00\n    # via toy\ntoy==1.0\n"),
    torch_backend="cpu",
    fallback=True,
)
NEWER = replace(LOCK, pins=parse_lock("attrs==26.1.0\ntoy==1.1\n"), fallback=False)


class Asked:
    """Resolves each cell to newer releases, and keeps who asked."""

    def __init__(self) -> None:
        self.cells: list[str] = []

    async def resolve(self, cell: Cell, subject: Subject) -> Lock:
        assert subject.name == "transformers"
        self.cells.append(cell.id)
        return NEWER

    async def tools(self, python: str) -> Lock:
        raise NotImplementedError

    async def probe(self, requires: Sequence[str], cell: Cell, *, universal: bool = False) -> Lock:
        raise NotImplementedError

    async def close(self) -> None: ...


def locking(context: RunContext, locks: LockProvider) -> Pipeline:
    """Return a pipeline whose cells are locked, and pass."""

    async def run_cell(recorder: CellRecorder) -> CellResult:
        lock = await locks.resolve(recorder.cell, context.run.subject)
        assert isinstance(lock, Lock)
        recorder.found["lock"] = store_lock(context.folder, recorder.cell, lock)
        return recorder.end(CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, "run again")

    return pipeline_of(context, locks, run_cell)


def resume_with_a_locked_cell(
    place: Place, monkeypatch: pytest.MonkeyPatch, text: str
) -> tuple[list[str], list[str]]:
    """Resume a run whose first cell has a lock; return the resolved cells and the remarks."""

    async def connect() -> Engine:
        await asyncio.sleep(0)
        return NoEngine()

    asked, heard = Asked(), RecordingListener()
    monkeypatch.setattr(Engine, "connect", connect)
    monkeypatch.setattr(running, "build_pipeline", locking)
    monkeypatch.setattr(running, "resolver_for", lambda *_: asked)
    folder = place.write(None, None, interrupted=True)
    record = a_lock(
        LOCK.versions,
        digest=LOCK.digest,
        file=folder.write_lock(TWO[0].id, text),
        torch_backend=LOCK.torch_backend,
        fallback=LOCK.fallback,
    )
    folder.write_cell(a_result(TWO[0], CellOutcome.ERROR, lock=record, reason=Reason.ENGINE))
    what = resumption(place)
    asyncio.run(running.resume(what, heard))
    return asked.cells, heard.remarks


def test_locked_cell_keeps_its_lock(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, said = resume_with_a_locked_cell(place, monkeypatch, LOCK.annotated)

    assert (resolved, said) == ([TWO[1].id], [])
    stored = read_run(place.run)
    locks = [stored.results[cell.id].lock for cell in TWO]
    assert [lock.versions["toy"] for lock in locks if lock] == ["1.0", "1.1"]
    assert locks[0] is not None
    assert (locks[0].digest, locks[0].torch_backend, locks[0].fallback) == (
        *(LOCK.digest, "cpu", True),
    )
    assert (place.run / locks[0].file).read_text() == LOCK.annotated


@pytest.mark.parametrize("text", ["", LOCK.annotated.replace("25.1.0", "25.2.0"), "no lock"])
def test_damaged_lock_is_resolved_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    resolved, said = resume_with_a_locked_cell(place, monkeypatch, text)

    assert resolved == [cell.id for cell in TWO]
    (message,) = said
    assert message.startswith("resolving a cell again, because its lock cannot be read: ")
    assert f"{TWO[0].id}.txt" in message
