"""The pipeline of a run, without an engine."""

import asyncio
import errno
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import a_cell, a_check, a_run, an_engine
from listeners import RecordingListener

from matrixci.engine.client import Engine
from matrixci.errors import (
    BaseImageError,
    EngineError,
    LimitsError,
    ResolverError,
    RunFilesError,
)
from matrixci.execution.cell_recorder import CellRecorder
from matrixci.execution.pipeline import Pipeline
from matrixci.execution.pipeline_factory import build_tools, default_jobs
from matrixci.execution.retry import RetryPolicy
from matrixci.execution.run_context import RunContext
from matrixci.execution.settings import Settings, resolver_for
from matrixci.images.buildx import BuildError
from matrixci.locks.subject import ResolvedSubject
from matrixci.matrix.definition import Matrix
from matrixci.model import (
    CellOutcome,
    CellResult,
    Reason,
    Step,
    StepName,
    Subject,
)
from matrixci.runs.folder import RunFolder, read_run

GIB = 2**30


class NoEngine(Engine):
    """An engine of which only the facts are used."""

    def __init__(self, cpus: int = 2, memory: int = 24 * GIB) -> None:
        self.facts = an_engine(cpus=cpus, memory=memory)


@dataclass(frozen=True)
class Failing:
    """Fails with these errors, one in each attempt, and then passes."""

    errors: tuple[Exception, ...]

    async def __call__(self, recorder: CellRecorder) -> CellResult:
        with recorder.step(StepName.RESOLVE):
            if recorder.attempts <= len(self.errors):
                raise self.errors[recorder.attempts - 1]
        return recorder.end(CellOutcome.PARTIAL, Reason.MISSING_HARDWARE, "no GPU")


def a_matrix(**more: object) -> Matrix:
    text = {"subject": "toy", "axes": {"python": {"3.12": {}}}, **more}
    return Matrix.model_validate(text)


def settings(work_dir: Path, matrix: Matrix) -> Settings:
    subject = Subject(name="toy", spec="toy", requirement="toy")
    return Settings(
        matrix=matrix,
        subject=ResolvedSubject(subject=subject, wheel=None),
        checks=work_dir / "checks",
        work_dir=work_dir,
    )


def take(
    work_dir: Path, *errors: Exception, retries: int = 2
) -> tuple[CellResult, RecordingListener]:
    """Return the result of a cell whose attempts fail with these errors, and the listener."""
    (work_dir / "checks").mkdir()
    run = a_run([a_cell()])
    folder = RunFolder.create(work_dir, run.id)
    folder.write_run(run)
    heard = RecordingListener()

    async def execute() -> None:
        context = RunContext(
            settings=settings(work_dir, a_matrix()),
            run=run,
            folder=folder,
            engine=NoEngine(),
            listener=heard,
        )
        tools = build_tools(context, resolver_for(context.settings, "x86_64"), 1)
        policy = RetryPolicy(retries=retries, first_seconds=0.001, jitter_seconds=0.0)
        await Pipeline(context, tools, Failing(errors), policy).execute(run.cells)

    asyncio.run(execute())
    (result,) = read_run(folder.path).results.values()
    assert [each.cell.id for each in heard.results] == [result.cell.id]
    return result, heard


@pytest.mark.parametrize("error", [ResolverError, BaseImageError, EngineError])
def test_failure_of_the_infrastructure_is_retried(tmp_path: Path, error: type[Exception]) -> None:
    result, heard = take(tmp_path, error("it is away\nfor good"), error("still"))

    assert (result.outcome, result.attempts) == (CellOutcome.PARTIAL, 3)
    assert [step.name for step in result.steps] == [StepName.RESOLVE]
    cell = result.cell.id
    assert heard.remarks == [
        f"{cell}: it is away (attempt 1 of 3; retrying in 0 s)",
        f"{cell}: still (attempt 2 of 3; retrying in 0 s)",
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ResolverError, Reason.INDEX),
        (BaseImageError, Reason.BASE),
        (EngineError, Reason.ENGINE),
    ],
)
def test_persistent_failure_is_an_error(
    tmp_path: Path, error: type[Exception], reason: Reason
) -> None:
    result, heard = take(tmp_path, *(error("away") for _ in range(2)), retries=1)

    assert (result.outcome, result.reason, result.attempts) == (CellOutcome.ERROR, reason, 2)
    assert result.message == "away"
    assert len(heard.remarks) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (BuildError("no"), CellOutcome.BLOCKED),
        (ValueError("no"), CellOutcome.ERROR),
        (LimitsError("no"), CellOutcome.ERROR),
    ],
)
def test_other_failures_are_not_retried(
    tmp_path: Path, error: Exception, outcome: CellOutcome
) -> None:
    result, heard = take(tmp_path, error)

    assert (result.outcome, result.attempts, heard.remarks) == (outcome, 1, [])


@pytest.mark.parametrize(
    "error", [RunFilesError("the lock can't be kept"), OSError(errno.ENOSPC, "No space left")]
)
def test_unwritable_file_is_an_internal_error(tmp_path: Path, error: Exception) -> None:
    result, _ = take(tmp_path, error)

    assert (result.outcome, result.reason) == (CellOutcome.ERROR, Reason.INTERNAL)
    assert result.message == f"A file of the run cannot be written: {error}"


def test_durations_are_never_negative() -> None:
    draft = CellRecorder(run="run", cell=a_cell(), listener=RecordingListener())
    later = datetime(2026, 11, 21, 10, tzinfo=UTC)
    draft.add(StepName.CHECKS, later, later - timedelta(hours=1))
    assert [step.seconds for step in draft.steps] == [0]

    earlier = later - timedelta(hours=1)
    assert Step(name=StepName.CHECKS, began=later, ended=earlier).seconds == 0
    assert replace(a_check(), began=later, ended=earlier).seconds == 0


@pytest.mark.parametrize(
    ("cpus", "memory", "limits", "jobs"),
    [
        (2, 24 * GIB, {}, 2),
        (16, 24 * GIB, {}, 3),  # 21.6 of 24 GiB, 6 GiB a cell
        (16, 24 * GIB, {"memory": GIB}, 16),
        (16, 24 * GIB, {"memory": GIB, "cpus": 5}, 3),
        (1, GIB, {}, 1),  # a cell that is larger than the engine runs alone
        (4, 64 * GIB, {"cpus": 0.5}, 8),
    ],
)
def test_default_jobs_fit_the_cpus_and_memory(
    cpus: int, memory: int, limits: dict[str, float], jobs: int
) -> None:
    engine = NoEngine(cpus, memory)
    assert default_jobs(engine, a_matrix(limits=limits).limits) == jobs
