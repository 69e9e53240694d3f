"""Cells of many machines put together: nothing lost, nothing foreign, nothing green by absence."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from command_line import run_command
from factories import a_check, a_lock, a_result, an_engine
from plans import FOUR, LOCK, MATRIX, a_plan

from matrixci.errors import ExitCode, UsageError
from matrixci.execution.run_setup import setup_of
from matrixci.fanout.cell import run_of
from matrixci.fanout.merge import find_plan, merge
from matrixci.fanout.plan import Plan, write_plan
from matrixci.model import Cell, CellOutcome, CellResult, CheckOutcome, EngineFacts, Reason
from matrixci.runs.folder import RunFolder
from matrixci.runs.stored_checks import read_checks, store_checks
from matrixci.sandbox.files import read_sources
from matrixci.util.resources import data_folder
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun, Verdict
from matrixci.verdict.load import judge_folder

PLAN = a_plan()
NO_PLAN = Path("nowhere/plan.json")
ENGINE = an_engine()


def came_back(
    folder: Path,
    cell: Cell,
    outcome: CellOutcome = CellOutcome.PASSED,
    *,
    plan: Plan = PLAN,
    engine: EngineFacts | None = ENGINE,
    **fields: object,
) -> Path:
    """Write the folder of one cell, as a machine leaves it; return the result's file."""
    made = RunFolder.emptied(folder)
    name = f"locks/{cell.id}.txt"
    lock = a_lock(digest=LOCK.digest, file=name, versions=LOCK.versions)
    (folder / name).write_text(LOCK.annotated, encoding="utf-8")
    (folder / f"logs/{cell.id}.log").write_text(f"said by {cell.id}\n", encoding="utf-8")
    failed = outcome is CellOutcome.FAILED
    check = a_check(outcome=CheckOutcome.FAILED if failed else CheckOutcome.PASSED)
    result = a_result(
        cell,
        outcome,
        [check] if outcome in {CellOutcome.PASSED, CellOutcome.FAILED} else [],
        **{
            "reason": Reason.CHECKS if failed else None,
            "lock": lock,
            "log": f"logs/{cell.id}.log",
            **fields,
        },
    )
    made.write_cell(result)
    made.write_run(run_of(plan, cell).model_copy(update={"engine": engine}))
    return folder / "cells" / f"{cell.id}.json"


def judged(plan: Plan, folders: list[Path], work_dir: Path) -> JudgedRun:
    return judge_folder(merge(plan, folders, work_dir).folder)


def outcomes(run: JudgedRun) -> list[str]:
    return [str(cell.outcome) if cell.result else "missing" for cell in run.cells]


@pytest.fixture
def back(tmp_path: Path) -> Path:
    """Return a folder in which all cells came back, each in an artifact of its own."""
    for cell in FOUR[:3]:
        came_back(tmp_path / "artifacts" / f"cell-{cell.id}", cell)
    write_plan(PLAN, tmp_path / "artifacts" / "plan" / "plan.json")
    return tmp_path / "artifacts"


def test_all_cells_are_one_run(back: Path, tmp_path: Path) -> None:
    merged = merge(find_plan([back], NO_PLAN), [back], tmp_path / "home")
    run = judge_folder(merged.folder)
    assert outcomes(run) == ["passed", "passed", "passed", "unsatisfiable"]
    assert run.verdict is Verdict.READY
    assert merged.folder == tmp_path / "home" / "runs" / PLAN.run.id
    assert (tmp_path / "home" / "runs" / "latest").resolve() == merged.folder.resolve()
    assert (run.run.plan, run.run.engine, run.run.engines) == (PLAN.digest, ENGINE, ())
    assert run.run.ended is None  # no machine said when
    assert not merged.remarks
    for cell in FOUR[:3]:
        assert (merged.folder / f"logs/{cell.id}.log").read_text() == f"said by {cell.id}\n"
        assert (merged.folder / f"locks/{cell.id}.txt").read_text() == LOCK.annotated
    assert run.cells[3].message == "no wheel"


def test_the_stored_checks_of_a_cell_are_kept(tmp_path: Path) -> None:
    sources = read_sources(data_folder("checks"))
    plan = a_plan(setup=setup_of(MATRIX, sources, None))
    came_back(tmp_path / "cell", FOUR[0], plan=plan)
    store_checks(tmp_path / "cell", sources)
    merged = merge(plan, [tmp_path / "cell"], tmp_path / "home")
    assert plan.run.setup is not None
    assert read_checks(merged.folder, plan.run.setup) == sources


def test_cell_without_a_result_is_missing(back: Path, tmp_path: Path) -> None:
    shutil.rmtree(back / f"cell-{FOUR[1].id}")
    run = judged(PLAN, [back], tmp_path / "home")
    assert outcomes(run) == ["passed", "missing", "passed", "unsatisfiable"]
    assert run.verdict is Verdict.NOT_READY
    assert any(FOUR[1].id in reason for reason in run.reasons)


def test_run_without_any_results(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    run = judged(PLAN, [tmp_path / "artifacts"], tmp_path / "home")
    assert outcomes(run) == ["missing"] * 3 + ["unsatisfiable"]
    assert run.verdict is Verdict.NOT_READY


def test_run_file_without_results(back: Path, tmp_path: Path) -> None:
    (back / f"cell-{FOUR[0].id}" / "cells" / f"{FOUR[0].id}.json").unlink()
    assert outcomes(judged(PLAN, [back], tmp_path / "home"))[0] == "missing"


def test_repeated_or_late_result_changes_nothing_else(back: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    shutil.move(back / f"cell-{FOUR[2].id}", late)
    first = judged(PLAN, [back], tmp_path / "home")
    assert outcomes(first)[2] == "missing"
    second = judged(PLAN, [back, back, late], tmp_path / "home")
    assert outcomes(second) == ["passed", "passed", "passed", "unsatisfiable"]
    assert sorted(path.name for path in (tmp_path / "home" / "runs").iterdir()) == [
        PLAN.run.id,
        "latest",
    ]


def test_the_run_itself_may_lie_among_the_folders(back: Path, tmp_path: Path) -> None:
    merge(PLAN, [back], tmp_path)
    shutil.rmtree(back / f"cell-{FOUR[1].id}")
    assert outcomes(judged(PLAN, [tmp_path], tmp_path))[1] == "missing"


@pytest.mark.parametrize("of", ["another run", "another plan"])
def test_results_of_another_plan_are_refused(back: Path, tmp_path: Path, of: str) -> None:
    run = PLAN.run.id if of == "another plan" else "20990101T000000Z-ffffff"
    other = a_plan(id=run, as_of="2026-01-01")
    came_back(back / "foreign", FOUR[0], plan=other, run=run)
    with pytest.raises(UsageError, match="do not belong to the plan") as caught:
        merge(PLAN, [back], tmp_path / "home")
    assert str(back / "foreign") in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_a_run_that_was_never_planned_is_refused(back: Path, tmp_path: Path) -> None:
    path = back / f"cell-{FOUR[0].id}" / "run.json"
    run = json.loads(path.read_text())
    run["plan"] = None
    path.write_text(json.dumps(run))
    with pytest.raises(UsageError, match="do not belong to the plan"):
        merge(PLAN, [back], tmp_path / "home")


def test_another_lock_than_planned_is_refused(back: Path, tmp_path: Path) -> None:
    came_back(back / f"cell-{FOUR[0].id}", FOUR[0], lock=a_lock(digest="1" * 64))
    with pytest.raises(UsageError, match=f"cell {FOUR[0].id} has another lock"):
        merge(PLAN, [back], tmp_path / "home")


def test_two_final_results_that_differ_are_refused(back: Path, tmp_path: Path) -> None:
    came_back(back / "again", FOUR[0], CellOutcome.FAILED)
    with pytest.raises(UsageError, match="has 2 results that differ") as caught:
        merge(PLAN, [back], tmp_path / "home")
    assert "(passed)" in str(caught.value)
    assert "(failed)" in str(caught.value)


@pytest.mark.parametrize("outcome", [CellOutcome.ERROR, CellOutcome.CANCELLED])
@pytest.mark.parametrize("where", ["a-before", "z-after"])
def test_final_result_is_preferred(
    back: Path, tmp_path: Path, outcome: CellOutcome, where: str
) -> None:
    came_back(back / where, FOUR[0], outcome)
    assert outcomes(judged(PLAN, [back], tmp_path / "home"))[0] == "passed"


def test_failures_of_the_infrastructure_are_reported(back: Path, tmp_path: Path) -> None:
    came_back(
        back / f"cell-{FOUR[0].id}",
        FOUR[0],
        CellOutcome.ERROR,
        lock=None,
        log=None,
        engine=None,
        message="no engine",
    )
    run = judged(PLAN, [back], tmp_path / "home")
    assert outcomes(run)[0] == "error"
    assert run.cells[0].message == "no engine"
    assert exit_code(run) == ExitCode.INFRASTRUCTURE


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_result_is_named(back: Path, tmp_path: Path, content: bytes) -> None:
    (back / f"cell-{FOUR[0].id}" / "cells" / f"{FOUR[0].id}.json").write_bytes(content)
    run = judged(PLAN, [back], tmp_path / "home")
    assert outcomes(run)[0] == "missing"
    assert run.verdict is Verdict.NOT_READY
    assert any(f"{FOUR[0].id}.json" in reason for reason in run.reasons)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{}"])
def test_damaged_run_is_reported(back: Path, tmp_path: Path, content: bytes) -> None:
    (back / f"cell-{FOUR[0].id}" / "run.json").write_bytes(content)
    merged = merge(PLAN, [back], tmp_path / "home")
    assert [FOUR[0].id in remark for remark in merged.remarks] == [True]
    assert outcomes(judge_folder(merged.folder))[0] == "missing"


def test_unplanned_cell_is_reported(back: Path, tmp_path: Path) -> None:
    changed = FOUR[0].model_copy(update={"requires": ("torch", "numpy>=1")})
    came_back(back / f"cell-{FOUR[0].id}", changed)
    run = judged(PLAN, [back], tmp_path / "home")
    assert outcomes(run)[0] == "missing"
    assert any("differs from the cell that the run planned" in reason for reason in run.reasons)


@pytest.mark.parametrize("name", ["/etc/hostname", "../../secret", "cells/../../../secret"])
def test_files_outside_a_result_are_not_copied(back: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (back / "secret").write_text("secret")
    path = back / f"cell-{FOUR[0].id}" / "cells" / f"{FOUR[0].id}.json"
    result = CellResult.model_validate_json(path.read_bytes())
    path.write_text(result.model_copy(update={"log": name}).model_dump_json())
    folder = merge(PLAN, [back], tmp_path / "home").folder
    assert not [file for file in folder.rglob("*") if file.is_file() and file.name == "secret"]
    assert not (tmp_path / "home" / "secret").exists()


def test_a_link_out_of_a_result_is_not_followed(back: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    log = back / f"cell-{FOUR[0].id}" / "logs" / f"{FOUR[0].id}.log"
    log.unlink()
    log.symlink_to(tmp_path / "secret")
    (back / "everything").symlink_to(tmp_path)
    folder = merge(PLAN, [back], tmp_path / "home").folder
    assert not (folder / "logs" / log.name).exists()


def test_several_engines_are_reported(back: Path, tmp_path: Path) -> None:
    other = ENGINE.model_copy(update={"cpus": 64, "gpu": "driver"})
    came_back(back / f"cell-{FOUR[1].id}", FOUR[1], engine=other)
    run = judged(PLAN, [back], tmp_path / "home").run
    assert (run.engine, run.engines) == (None, (ENGINE, other))
    assert not run.had_no_gpu


def test_an_interrupted_cell_is_an_interrupted_run(back: Path, tmp_path: Path) -> None:
    folder = back / f"cell-{FOUR[0].id}"
    came_back(folder, FOUR[0], CellOutcome.CANCELLED)
    RunFolder(folder).write_run(run_of(PLAN, FOUR[0]).model_copy(update={"interrupted": True}))
    shutil.rmtree(back / f"cell-{FOUR[1].id}")
    run = judged(PLAN, [back], tmp_path / "home")
    assert run.run.interrupted
    assert outcomes(run)[0] == "cancelled"
    assert run.cells[1].outcome is CellOutcome.MISSING  # of another machine


def test_plan_is_found_or_must_be_named(back: Path, tmp_path: Path) -> None:
    write_plan(PLAN, back / "again" / "plan.json")  # the same, twice
    assert find_plan([back], NO_PLAN).digest == PLAN.digest
    write_plan(a_plan(as_of="2026-01-01"), back / "other" / "plan.json")
    with pytest.raises(UsageError, match="2 different plans"):
        find_plan([back], NO_PLAN)
    with pytest.raises(UsageError, match="--plan"):
        find_plan([back / f"cell-{FOUR[0].id}"], NO_PLAN)
    with pytest.raises(UsageError, match="does not exist"):
        find_plan([tmp_path / "nowhere"], NO_PLAN)


def test_local_plan_is_used_if_the_folders_have_none(back: Path, tmp_path: Path) -> None:
    here = tmp_path / "home" / "plan.json"
    write_plan(a_plan(as_of="2026-01-01"), here)
    alone = back / f"cell-{FOUR[0].id}"
    assert find_plan([alone], here).run.as_of == date(2026, 1, 1)
    write_plan(PLAN, alone / "plan.json")
    assert find_plan([alone], here).digest == PLAN.digest


def test_part_of_the_matrix_has_the_same_verdict_as_on_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = a_plan(FOUR[:1], unselected=(FOUR[1].id,), unselected_axes={FOUR[1].id: FOUR[1].axes})
    came_back(tmp_path / "back" / "one", FOUR[0], plan=part)
    write_plan(part, tmp_path / "back" / "plan.json")
    done = run_command(monkeypatch, capsys, tmp_path, "report", "back", "--format", "json")
    assert done.code == ExitCode.READY, done.out
    assert "READY" in done.out
    assert (tmp_path / ".matrixci/runs" / part.run.id / "report" / "report.json").is_file()
    listed = run_command(monkeypatch, capsys, tmp_path, "history", "list").out
    assert listed.count(part.run.id) == 1  # it is added without being asked
    shutil.rmtree(tmp_path / "back" / "one")
    done = run_command(monkeypatch, capsys, tmp_path, "report", "back")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert f"{FOUR[0].id}: missing" in done.out
