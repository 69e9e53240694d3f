"""A plan: what a machine is message that runs a cell of it, and what GitHub's jobs are handed."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from factories import a_cell, an_own_wheel, digest_of_file, write_wheel
from hypothesis import given
from hypothesis import strategies as st
from plans import FOUR, LOCK, MATRIX, a_plan

from matrixci.errors import ResolverError, UsageError
from matrixci.execution.run_setup import setup_of
from matrixci.execution.settings import ExecutionOptions
from matrixci.fanout.cell import cell_settings, run_of
from matrixci.fanout.locks import PlannedLocks
from matrixci.fanout.plan import (
    Plan,
    PlannedLock,
    read_plan,
    write_own_wheels,
    write_plan,
)
from matrixci.fanout.plan import write_wheel as lay_wheel
from matrixci.github.job_outputs import append, outputs
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.own_wheels import StoredWheel, with_own_wheels
from matrixci.matrix.digest import matrix_digest
from matrixci.matrix.loader import load_matrix
from matrixci.model import Subject
from matrixci.sandbox.files import read_sources

REFUSED = {"reason": "", "detail": ""}


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = a_plan()
    write_plan(plan, tmp_path / "plan.json")
    read = read_plan(tmp_path / "plan.json")
    assert read == plan
    assert read.digest == plan.digest
    assert matrix_digest(read.matrix) == matrix_digest(MATRIX)


def test_the_projects_own_matrix_is_planned_as_it_is(tmp_path: Path) -> None:
    own = load_matrix(Path(__file__).parents[3] / "matrix.yaml")
    plan = a_plan().model_copy(update={"matrix": own})
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json").matrix == own


def test_each_cell_has_the_lock_that_was_resolved() -> None:
    plan = a_plan()
    for cell in FOUR[:3]:
        answer = plan.answer(cell.id)
        assert isinstance(answer, Lock)
        assert answer.pins == LOCK.pins
        assert answer.fallback == (not cell.gpu)
    assert plan.answer(FOUR[3].id) == Unsatisfiable(
        reason="no wheel", detail="the full explanation"
    )


def test_a_lock_of_the_subjects_own_wheel_installs_the_wheel() -> None:
    subject = {
        "name": "toy",
        "spec": ".",
        "requirement": "toy @ file:///away/toy-1.0-py3-none-any.whl",
        "wheel": "toy-1.0-py3-none-any.whl",
        "digest": "00",
    }
    answer = a_plan(subject=subject).answer(FOUR[0].id)
    assert isinstance(answer, Lock)
    assert answer.pins[1].install_line("/w").startswith("toy @ file:///w/toy-1.0-py3-none-any.whl ")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda plan: plan["cells"].pop(FOUR[0].id), "do not match"),
        (lambda plan: plan["locks"].clear(), "the lock of a cell is missing"),
        (lambda plan: plan.update(schema_version=99), "schema version 99"),
        (lambda plan: plan.update(more=1), "more"),
        (lambda plan: plan["matrix"].pop("axes"), "axes"),
        (lambda plan: plan["unsatisfiable"].update({FOUR[0].id: REFUSED}), "do not match"),
    ],
    ids=["a cell less", "no locks", "version", "more", "no axes", "listed twice"],
)  # fmt: skip
def test_a_damaged_plan_is_a_mistake(tmp_path: Path, spoil: object, message: str) -> None:
    data = json.loads(a_plan().model_dump_json())
    assert callable(spoil)
    spoil(data)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(str(path))) as caught:
        read_plan(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\xff"])
def test_file_that_is_not_a_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "plan.json")


def test_missing_plan_is_reported_with_the_command_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="matrixci plan --output"):
        read_plan(tmp_path / "plan.json")


def test_a_lock_that_was_changed_is_refused() -> None:
    plan = a_plan()
    text = plan.locks[LOCK.digest].text.replace("2.5.5", "2.5.4")
    changed = plan.model_copy(
        update={"locks": {LOCK.digest: PlannedLock(text=text, torch_backend=None)}}
    )
    with pytest.raises(UsageError, match="does not match its digest"):
        changed.answer(FOUR[0].id)


def test_invalid_lock_is_refused() -> None:
    plan = a_plan()
    broken = PlannedLock(text="numpy>=2\n", torch_backend=None)
    with pytest.raises(UsageError, match="Cannot parse this line of a lock"):
        plan.model_copy(update={"locks": {LOCK.digest: broken}}).answer(FOUR[0].id)


def test_unplanned_cell_is_reported_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean"):
        a_plan().cell("py3.12-numpy2-cp")


def test_planned_locks_use_no_index() -> None:
    plan = a_plan()
    locks = PlannedLocks.of(plan, FOUR[0])
    answer = asyncio.run(locks.resolve(FOUR[0], plan.run.subject))
    assert isinstance(answer, Lock)
    assert answer.digest == LOCK.digest
    assert asyncio.run(locks.tools("3.13")).digest == LOCK.digest
    asyncio.run(locks.probe(["toy==2"], FOUR[0]))
    with pytest.raises(ResolverError, match=r"Python 3\.9"):
        asyncio.run(locks.tools("3.9"))


# One cell


def test_the_run_of_a_cell_leaves_the_others_out() -> None:
    plan = a_plan(older={FOUR[0].id: {"toy": "why"}, FOUR[1].id: {"toy": "why"}})
    run = run_of(plan, FOUR[0])
    assert run.cells == (FOUR[0],)
    assert run.unselected == tuple(cell.id for cell in FOUR[1:])
    assert set(run.unselected_axes) == set(run.unselected)
    assert run.older == {FOUR[0].id: {"toy": "why"}}
    assert (run.id, run.plan) == (plan.run.id, plan.digest)


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "test_toy.py").write_text("def test_one(): pass\n", encoding="utf-8")
    return folder


def test_other_checks_than_planned_are_refused(tmp_path: Path, checks: Path) -> None:
    plan = a_plan(setup=setup_of(MATRIX, read_sources(checks), None))
    settings = cell_settings(plan, tmp_path, checks, tmp_path / "home", ExecutionOptions())
    assert (settings.matrix, settings.subject.wheel) == (MATRIX, None)
    (checks / "test_toy.py").write_text("def test_one(): assert 0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="differ from the plan"):
        cell_settings(plan, tmp_path, checks, tmp_path / "home", ExecutionOptions())


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_a_cell_requires_the_limits_that_its_plan_requires(
    tmp_path: Path, checks: Path, *, planned: bool, asked: bool
) -> None:
    setup = setup_of(MATRIX, read_sources(checks), None)
    plan = a_plan(setup=setup, require_limits=planned)
    settings = cell_settings(
        plan, tmp_path, checks, tmp_path / "home", ExecutionOptions(require_limits=asked)
    )
    assert settings.options.require_limits is (planned or asked)


def test_the_subjects_wheel_is_found_beside_the_plan(tmp_path: Path, checks: Path) -> None:
    wheel = write_wheel(tmp_path, "toy-1.0")
    subject = Subject(
        name="toy",
        spec=".",
        requirement="toy @ file:///away/toy.whl",
        wheel=wheel.name,
        digest=digest_of_file(wheel),
    )
    setup = setup_of(MATRIX, read_sources(checks), None)
    plan = a_plan(subject=subject, setup=setup)
    there = tmp_path / "plan"
    there.mkdir()
    lay_wheel(wheel, there / "plan.json")
    found = cell_settings(plan, there, checks, tmp_path / "home", ExecutionOptions()).subject.wheel
    assert found == there / wheel.name
    (there / wheel.name).write_bytes(b"another")
    with pytest.raises(UsageError, match="The subject of the plan is missing"):
        cell_settings(plan, there, checks, tmp_path / "home", ExecutionOptions())


def test_wheels_of_one_name_lie_beside_the_plan(tmp_path: Path, checks: Path) -> None:
    kept = []
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        wheel = write_wheel(tmp_path / folder, "tool-2.0", [folder])
        own = an_own_wheel(spec=folder, digest=digest_of_file(wheel))
        kept.append(StoredWheel(wheel=own, path=wheel))
    setup = setup_of(MATRIX, read_sources(checks), None)
    plan = a_plan(own_wheels=[each.wheel for each in kept], setup=setup)
    there = tmp_path / "plan"
    write_own_wheels(kept, there / "plan.json")
    found = cell_settings(plan, there, checks, tmp_path / "home", ExecutionOptions()).own_wheels
    assert [each.wheel for each in found] == [each.wheel for each in kept]
    for before, after in zip(kept, found, strict=True):
        assert after.path.is_relative_to(there)
        assert after.path.read_bytes() == before.path.read_bytes()
    found[0].path.unlink()
    with pytest.raises(UsageError, match=r"the wheel of old is missing: tool-2\.0"):
        cell_settings(plan, there, checks, tmp_path / "home", ExecutionOptions())


def test_a_lock_names_the_origin_of_a_wheel_and_installs_it() -> None:
    own = an_own_wheel("toy", digest="ef")
    lock = with_own_wheels(LOCK, [own, an_own_wheel("toy", digest="00")])
    assert f"    # from {own.origin}\n" in lock.annotated
    assert lock.digest == LOCK.digest
    plan = a_plan(lock=lock, own_wheels=[own])
    answer = plan.answer(FOUR[0].id)
    assert isinstance(answer, Lock)
    assert answer.pins == lock.pins
    assert answer.pins[1].install_line("/w").startswith(f"toy @ file:///w/{own.wheel} ")


def test_wheel_next_to_the_plan_is_kept(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "toy-1.0")
    before = wheel.read_bytes()
    lay_wheel(wheel, tmp_path / "plan.json")
    lay_wheel(None, tmp_path / "plan.json")
    assert wheel.read_bytes() == before


# What the jobs are handed


def many(count: int) -> Plan:
    return a_plan(tuple(a_cell(id=f"c{number}") for number in range(count + 1)))


def test_a_thousand_cells_are_four_shards() -> None:
    found = outputs(many(1000))
    shards = json.loads(found["shards"])
    assert [len(shard["cells"]) for shard in shards] == [256, 256, 256, 232]
    assert [shard["index"] for shard in shards] == [0, 1, 2, 3]
    assert [cell["cell"] for shard in shards for cell in shard["cells"]] == [
        f"c{number}" for number in range(1000)
    ]
    assert found["cells"] == "1000"
    assert len(found["shards"]) < 2**20


def test_a_cell_without_solution_needs_no_runner() -> None:
    found = outputs(a_plan())
    (shard,) = json.loads(found["shards"])
    assert [cell["cell"] for cell in shard["cells"]] == [cell.id for cell in FOUR[:3]]
    assert [cell["gpu"] for cell in shard["cells"]] == [False, True, False]
    assert {cell["runner"] for cell in shard["cells"]} == {"ubuntu-24.04"}


def test_several_labels_are_a_list() -> None:
    plan = a_plan(FOUR[:1])
    (cell,) = plan.cells.values()
    more = cell.model_copy(update={"runner": ("self-hosted", "gpu")})
    found = outputs(plan.model_copy(update={"cells": {FOUR[0].id: more}}))
    assert json.loads(found["shards"])[0]["cells"][0]["runner"] == ["self-hosted", "gpu"]


def test_too_large_job_outputs_are_refused() -> None:
    with pytest.raises(UsageError, match="Select fewer"):
        outputs(many(12_000))  # under the limit, were they not counted in UTF-16


@given(size=st.integers(1, 50), count=st.integers(1, 40))
def test_shards_hold_every_cell_once(size: int, count: int) -> None:
    shards = json.loads(outputs(many(count), size)["shards"])
    message = [cell["cell"] for shard in shards for cell in shard["cells"]]
    assert message == [f"c{number}" for number in range(count)]
    assert all(0 < len(shard["cells"]) <= size for shard in shards)


def test_outputs_are_appended_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("before=1\n", encoding="utf-8")
    append(outputs(a_plan()), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.partition("=")[0] for line in lines] == ["before", "run", "cells", "shards"]
