from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from cli_runs import EVERY, Command, Roomy, answer, stored
from factories import RUN, write_wheel
from tiny_index import serving

from matrixci.cli import locks_table as cli_locks_table
from matrixci.cli import matrix as cli_matrix
from matrixci.cli import plan as cli_plan
from matrixci.engine.client import Engine
from matrixci.errors import ExitCode, ResolverError
from matrixci.execution import execute as running
from matrixci.execution.new_run import new_run
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.fanout.plan import Plan, PlannedCell, PlannedLock, read_plan
from matrixci.fanout.planner import PlanRequest
from matrixci.locks.lock import Lock
from matrixci.matrix.selection import SelectedCells
from matrixci.model import BaseOrigin, CellOutcome, Reason, Run
from matrixci.runs.folder import read_run
from matrixci.util.subprocesses import Completed
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder


def test_missing_engine_is_reported_in_two_lines(command: Command, tmp_path: Path) -> None:
    done = command("matrix")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err == [
        "No container engine is installed on this machine (/nonexistent.sock).",
        "Start one, or run: matrixci matrix --install-engine",
    ]
    assert done.out == []
    assert not (tmp_path / ".matrixci/runs").exists()  # no run that never was


@pytest.mark.usefixtures("planned")
def test_a_plan_shows_each_cell_with_its_lock(command: Command) -> None:
    done = command("matrix", "--plan", "--device", "cpu")
    assert done.code == ExitCode.READY
    rows = [line.split(maxsplit=2) for line in done.out[1:-1]]
    assert [row[0] for row in rows] == [EVERY[0], EVERY[2], EVERY[4], EVERY[6]]
    assert rows[0][2] == "toy 1.0, torch 2.15.0, numpy 1.26.4 (default index)"
    assert rows[1][2] == "toy 1.0, torch 2.15.0, numpy 2.5.5 (default index)"
    assert rows[2][1] == "∅"
    # What the resolver says is shown as it is: no markup, and no colours of its own.
    assert rows[2][2] == r"unsatisfiable: no wheel of numpy[x]<2 for [/] \x1b[31m"
    assert rows[1][1] == rows[3][1] != rows[0][1]
    assert done.out[-1] == "4 cells, 2 distinct locks"


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ([], "so the base image must come from a registry"),
        (["--base", "assembled"], "so the base image cannot be assembled"),
        (["--base", "registry"], None),
    ],
)
def test_plan_lists_cells_whose_interpreter_is_missing(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    base: list[str],
    message: str | None,
) -> None:
    (wheels := tmp_path / "wheels").mkdir()
    for release in ("toy-1.0", "torch-2.0", "numpy-1.0", "numpy-2.0", "pytest-8.4.0"):
        write_wheel(wheels, release)

    async def missing(versions: Collection[str]) -> list[str]:
        return [version for version in versions if version == "3.13"]

    monkeypatch.setattr(cli_locks_table, "missing_interpreters", missing)
    with serving(wheels) as address:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        done = command("matrix", "--plan", "--device", "cpu", *base)

    assert done.code == ExitCode.READY
    lines = [line for line in done.err if "CPython 3.13" in line]
    assert len(lines) == (message is not None)
    assert all(message and line.endswith(message) and "py3.12" not in line for line in lines)


@pytest.mark.parametrize("plan", [["--plan"], []])
def test_unwritable_work_dir_is_reported_in_one_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: list[str]
) -> None:
    async def nothing(*_: object, **__: object) -> Completed:
        return Completed(exit_status=0, stdout="toy==1.0\n", stderr="")

    async def connect() -> Engine:
        return Roomy()

    monkeypatch.setattr("matrixci.locks.uv_command.run_process", nothing)
    monkeypatch.setattr(Engine, "connect", connect)
    (tmp_path / "file").touch()

    done = command("matrix", *plan, "--work-dir", "file/home")

    assert done.code == ExitCode.INFRASTRUCTURE
    assert len(done.err) == 1
    assert "file/home" in done.err[0]
    assert "Not a directory" in done.err[0]


@pytest.fixture
def limitless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an engine answer that enforces neither memory nor pids."""

    async def connect() -> Engine:
        engine = Roomy()
        engine.facts = engine.facts.model_copy(update={"unenforced": ("memory", "pids")})
        return engine

    monkeypatch.setattr(Engine, "connect", connect)


@pytest.mark.usefixtures("limitless")
def test_engine_without_required_limits_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("matrix", "--require-limits")

    assert done.code == ExitCode.INFRASTRUCTURE
    assert any("cannot enforce limits on memory, pids" in line for line in done.err)
    assert not (tmp_path / ".matrixci/runs").exists()


@pytest.mark.usefixtures("limitless")
def test_a_planned_cell_is_an_error_where_its_plan_requires_limits(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def plan(request: PlanRequest, *_: object) -> Plan:
        (cell,) = request.chosen.cells
        lock = answer(cell)
        assert isinstance(lock, Lock)
        planned = PlannedCell(lock=lock.digest, fallback=lock.fallback, runner=())
        return Plan(
            run=new_run(request.settings, request.chosen, request.command),
            matrix=request.settings.matrix,
            architecture="x86_64",
            locks={lock.digest: PlannedLock.of(lock)},
            cells={cell.id: planned},
            unsatisfiable={},
            tools={},
        )

    monkeypatch.setattr(cli_plan, "make_plan", plan)
    assert command("plan", "--cell", EVERY[0], "--require-limits").code == 0
    written = read_plan(tmp_path / ".matrixci/plan/plan.json")
    assert written.run.require_limits
    assert "--require-limits" in written.run.command

    done = command("cell", EVERY[0])

    assert done.code == ExitCode.INFRASTRUCTURE
    (result,) = read_run(tmp_path / ".matrixci/cells" / EVERY[0]).results.values()
    assert (result.outcome, result.reason) == (CellOutcome.ERROR, Reason.ENGINE)
    assert "cannot enforce limits on memory, pids, and --require-limits" in result.message


def test_an_index_that_does_not_answer_is_infrastructure(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        msg = "The package index refused access: 403 Forbidden"
        raise ResolverError(msg)

    monkeypatch.setattr(cli_matrix, "resolve_only", refuse)
    done = command("matrix", "--plan")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err == ["The package index refused access: 403 Forbidden"]


def test_options_become_the_settings_of_the_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Settings, list[str], Sequence[str]]] = []

    async def execute(
        settings: Settings, chosen: SelectedCells, _: object, words: Sequence[str]
    ) -> JudgedRun:
        seen.append((settings, [cell.id for cell in chosen.cells], words))
        return judge_folder(stored(settings.work_dir, CellOutcome.FAILED))

    monkeypatch.setattr(running, "execute", execute)
    checks = tmp_path / "mine"
    checks.mkdir()
    (checks / "test_x.py").touch()
    line = "matrix --work-dir kept --python 3.12 --device cpu --subject other>=1 --check not(slow) "
    line += "--checks mine --as-of 2025-01-31 --jobs 3 --base assembled --fresh"
    done = command(*line.split())
    ((settings, ids, words),) = seen
    assert done.code == ExitCode.FAILURES
    assert done.out[1] == "NOT READY  1 cell: 1 failed"
    assert f"locks, logs and results: kept/runs/{RUN}" in done.out
    assert ids == [EVERY[0], EVERY[2]]
    assert list(words) == line.split()
    assert settings.subject.subject.requirement == "other>=1"
    assert str(settings.as_of) == "2025-01-31"
    assert (settings.work_dir, settings.checks) == (Path("kept"), Path("mine"))
    assert settings.check_filter == "not(slow)"
    assert settings.options == ExecutionOptions(
        jobs=3, fresh=True, base_origin=BaseOrigin.ASSEMBLED
    )


def test_run_records_the_requested_tier(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Run] = []

    async def execute(
        settings: Settings, chosen: SelectedCells, _: object, words: Sequence[str]
    ) -> JudgedRun:
        recorded.append(new_run(settings, chosen, words))
        return judge_folder(stored(settings.work_dir, CellOutcome.PASSED))

    monkeypatch.setattr(running, "execute", execute)
    command("matrix", "--tier", "newest", "--device", "cpu")
    command("matrix")
    some, every = recorded
    assert (some.tier, every.tier) == ("newest", None)
    assert [cell.id for cell in some.cells] == [EVERY[4], EVERY[6]]
    assert set(some.unselected) == {*EVERY} - {EVERY[4], EVERY[6]}


def test_interrupted_run_prints_the_command_to_resume(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = stored(tmp_path / ".matrixci", CellOutcome.PASSED, interrupted=True)

    async def execute(*_: object) -> JudgedRun:
        return judge_folder(path)

    monkeypatch.setattr(running, "execute", execute)
    done = command("matrix", "--no-history")
    assert done.code == ExitCode.INTERRUPTED
    assert done.err[-1] == "interrupted; resume with: matrixci matrix --resume"
