"""Tests of runs on many machines: plan once, run each cell on its own machine, merge."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_state import wait_until
from fan_out import cell_id, facts, matrixci, outcomes_of_run, plan, report, run_cell
from toy import Ran, Toy

from matrixci.model import CellOutcome, Reason
from matrixci.runs.folder import read_run
from matrixci.verdict.judged import Verdict
from matrixci.verdict.load import judge_folder

CHECKS = {
    "test_toy.py": """
        import os
        import toysubject

        def test_answers():
            '''The toy knows the answer.'''
            assert toysubject.ANSWER == 42

        def test_is_whole():
            '''The toy is whole.'''
            broken = os.environ.get("TOY") == "broken"
            assert not broken
        """
}
MODES: dict[str, dict[str, object]] = {
    "plain": {},
    "broken": {"environment": {"TOY": "broken"}},
    "gpu": {"gpu": True},
    "never": {"requires": "numpy==0.0.1"},
}
SLOW = {
    "test_toy.py": """
        import time

        def test_takes_its_time():
            time.sleep(120)
        """
}


@contextmanager
def started(toy: Toy, folder: Path, mode: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a cell on a separate machine and wait until its checks run."""
    argv = [sys.executable, "-m", "matrixci", "cell", cell_id(mode), "--output", f"back/{mode}"]
    argv += ["--plan", str(folder / "plan.json"), "--work-dir", f"machine-{mode}"]
    log = toy.folder / "log"
    with log.open("wb") as file, subprocess.Popen(argv, cwd=toy.folder, stderr=file) as process:
        try:
            assert wait_until(lambda: "running checks" in log.read_text()), log.read_text()
            yield process
        finally:
            process.kill()


def test_many_machines_give_the_same_result_as_one(toy: Toy, first_run: Ran) -> None:
    del first_run  # it built the image
    single = toy.run(CHECKS, MODES, fresh=True)
    folder = plan(toy)

    # The planned folder contains the wheel of the subject and the matrix.
    toy.matrix.rename(toy.folder / "away.yaml")
    hidden = toy.wheel.rename(toy.wheel.with_suffix(".away"))
    try:
        codes = {mode: run_cell(toy, folder, mode).returncode for mode in MODES}
    finally:
        hidden.rename(toy.wheel)
    done, merged = report(toy, folder)

    # The unsatisfiable cell verifies nothing; it needs no machine, but may run on one.
    assert codes == {"plain": 0, "broken": 1, "gpu": 0, "never": 1}
    assert done.returncode == single.exit_code == 1, done.stderr
    single_run, merged_run = single.stored, read_run(merged)
    assert merged_run.problems == ()
    assert {n: facts(r) for n, r in merged_run.results.items()} == {
        n: facts(r) for n, r in single_run.results.items()
    }
    assert single.judged is not None
    assert outcomes_of_run(judge_folder(merged)) == outcomes_of_run(single.judged)
    assert (merged / "report" / "index.html").is_file() or any((merged / "report").iterdir())
    for mode in MODES:
        toy.stored_run(toy.folder / "back" / mode)


def test_selection_without_checks_is_a_usage_error_on_each_machine(toy: Toy) -> None:
    toy.write(CHECKS)
    folder = plan(toy, "--check", "nothing and not this")

    cell = run_cell(toy, folder, "plain")
    done, merged = report(toy, folder)

    for each in (cell, done):
        assert each.returncode == 2, each.stderr
        assert "No check matches --check nothing and not this" in each.stderr
    assert not merged.exists()


def test_cell_of_a_killed_machine_is_missing(toy: Toy) -> None:
    toy.write(SLOW, {"plain": {}, "lost": {}})
    folder = plan(toy)
    with started(toy, folder, "lost") as process:
        process.kill()
    toy.write({"test_toy.py": "def test_one(): pass\n"}, {"plain": {}, "lost": {}})

    done, merged = report(toy, folder)

    assert done.returncode == 3, done.stderr
    judged = judge_folder(merged)
    assert judged.verdict is Verdict.NOT_READY
    assert [cell.outcome for cell in judged.cells] == [CellOutcome.MISSING] * 2
    assert f"{cell_id('lost')}" in done.stdout
    # The next run on that engine removes its leftovers.
    toy.run({"test_toy.py": "def test_one(): pass\n"})
    assert toy.leftovers(judged.run.id) == []


def test_result_of_a_machine_without_an_engine_names_the_engine(toy: Toy) -> None:
    toy.write(CHECKS)
    folder = plan(toy)
    words = [
        "cell",
        cell_id("plain"),
        "--plan",
        str(folder / "plan.json"),
        "--output",
        "back/plain",
    ]
    done = matrixci(toy, *words, DOCKER_HOST=f"unix://{toy.folder}/nothing")
    assert done.returncode == 3
    result = read_run(toy.folder / "back" / "plain").results[cell_id("plain")]
    assert (result.outcome, result.reason) == (CellOutcome.ERROR, Reason.ENGINE)
    assert f"{toy.folder}/nothing" in result.message
    assert report(toy, folder)[0].returncode == 3


def test_interrupted_cell_shuts_down_cleanly(toy: Toy) -> None:
    toy.write(SLOW)
    folder = plan(toy)
    with started(toy, folder, "plain") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    ran = toy.stored_run(toy.folder / "back" / "plain")
    assert [result.outcome for result in ran.results.values()] == [CellOutcome.CANCELLED]
    assert ran.run.interrupted


@pytest.mark.parametrize("again", ["the same cell", "something else"])
def test_folder_with_other_files_is_not_overwritten(toy: Toy, again: str) -> None:
    toy.write(CHECKS)
    folder = plan(toy)
    assert run_cell(toy, folder, "plain").returncode == 0
    place = toy.folder / "back" / "plain"
    if again == "something else":
        shutil.rmtree(place)
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
    done = run_cell(toy, folder, "plain")
    assert done.returncode == (2 if again == "something else" else 0), done.stderr
    assert (place / "thesis.txt").exists() == (again == "something else")
