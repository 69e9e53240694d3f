"""Tests of the outcome of a cell for everything that can happen in its container."""

from misbehaving import DOING, TAMPERING, around, doing, failed
from toy import PASSED, PYTHON, Ran, Toy, checks_of

from matrixci.model import CellOutcome, Need, Reason
from matrixci.verdict.judged import Verdict


def test_run_with_two_passing_cells_is_ready(first_run: Ran) -> None:
    assert first_run.outcomes == {"plain": PASSED, "other": PASSED}
    assert first_run.exit_code == 0
    assert first_run.judged is not None
    assert first_run.judged.verdict is Verdict.READY
    for cell in first_run.cells.values():
        assert checks_of(cell) == {"test_answers": "passed"}
        assert cell.checks[0].claim == "The toy knows the answer."
        assert cell.attestation is not None
        assert cell.attestation.python.startswith(f"{PYTHON}.")
        assert cell.attestation.distributions["toysubject"] == "1.0"
        assert cell.lock is not None
        assert cell.attestation.distributions == cell.lock.versions
        assert "test_answers: passed" in first_run.file(cell.log)
        assert "toysubject==1.0" in first_run.file(cell.lock.file)


def test_failing_check_does_not_affect_the_others(toy: Toy) -> None:
    wrong = doing(
        fails="assert 1 == 2, 'one is not two'",
        crashes="ctypes.string_at(0)",
        exits="os._exit(0)",
        hangs="time.sleep(600)",
    )

    ran = toy.run(DOING, wrong, {"check-timeout": 4})

    assert ran.outcomes == dict.fromkeys(wrong, failed(Reason.CHECKS))
    assert ran.exit_code == 1
    assert {mode: checks_of(cell) for mode, cell in ran.cells.items()} == {
        "fails": around("failed"),
        "crashes": around("crashed"),
        "exits": around("crashed"),
        "hangs": around("timed-out"),
    }
    middle = {mode: cell.checks[1] for mode, cell in ran.cells.items()}
    assert middle["fails"].message == "one is not two"
    assert middle["crashes"].reason == "SIGSEGV"
    assert middle["exits"].reason == "exit status 0 before its end"
    assert middle["hangs"].reason == "after 4 s"
    for mode in ("fails", "crashes", "hangs"):
        assert "test_toy.py" in middle[mode].detail


def test_hanging_check_is_ended_with_its_cell(toy: Toy) -> None:
    ran = toy.run(
        DOING,
        doing(hangs="time.sleep(600)"),
        {"cell-timeout": 6, "check-timeout": 6, "no-output-timeout": 6},
    )

    assert ran.outcomes == {"hangs": failed(Reason.TIMED_OUT)}
    assert ran.exit_code == 1
    # On a busy machine the cell may end before its first check.
    known = set(checks_of(ran.cells["hangs"]).items())
    assert known <= {
        ("test_before", "passed"),
        ("test_before", "missing"),
        ("test_doing", "missing"),
        ("test_after", "missing"),
    }


def test_cell_that_runs_out_of_memory_fails_even_if_a_check_survives(toy: Toy) -> None:
    hungry = "b'x' * 2**29"
    eating = doing(
        child=f"assert subprocess.run([sys.executable, '-c', {hungry!r}]).returncode == -9",
        itself=hungry,
        nobody="",
    )

    ran = toy.run(DOING, eating)

    oom = failed(Reason.OOM)
    assert ran.outcomes == {"child": oom, "itself": oom, "nobody": PASSED}
    assert ran.exit_code == 1
    assert checks_of(ran.cells["child"]) == around("passed")
    assert checks_of(ran.cells["itself"]) == around("crashed")


def test_container_that_differs_from_its_cell_fails(toy: Toy) -> None:
    deviations = ("python", "version")

    ran = toy.run(
        DOING, {deviation: {"environment": {"TOY_LIE": deviation}} for deviation in deviations}
    )

    assert ran.outcomes == dict.fromkeys(deviations, failed(Reason.NOT_AS_DECLARED))
    assert ran.exit_code == 1
    assert f"Python is 3.99.0, not {PYTHON}" in ran.cells["python"].message
    assert "is locked, 0.1 is installed" in ran.cells["version"].message
    for cell in ran.cells.values():
        assert checks_of(cell) == around("passed")


def test_tampered_result_is_never_green(toy: Toy) -> None:
    tampering = doing(
        deleted="RESULTS.unlink()",
        linked="RESULTS.unlink(); RESULTS.symlink_to('/matrixci/cell.json')",
        emptied="replace(b'')",
        oversized="replace(b'{}' * 2**20)",
        appended="RESULTS.open('a').write('green')",
        cut="os.truncate(RESULTS, 0)",
        other_cell="forge(cell='another')",
        other_run="forge(run='another')",
        other_start="forge(nonce='another')",
    )

    ran = toy.run(TAMPERING, tampering, {"result-size": "1 MiB"})

    assert ran.outcomes == {
        "deleted": failed(Reason.NO_RESULT),
        "linked": failed(Reason.NO_RESULT),
        "emptied": failed(Reason.NO_RESULT),
        "oversized": failed(Reason.NO_RESULT),
        "appended": failed(Reason.INVALID_RESULT),
        "cut": failed(Reason.INVALID_RESULT),
        "other-cell": failed(Reason.FOREIGN_RESULT),
        "other-run": failed(Reason.FOREIGN_RESULT),
        "other-start": failed(Reason.FOREIGN_RESULT),
    }
    assert ran.exit_code == 1


def test_container_whose_supervisor_is_killed_fails(toy: Toy) -> None:
    ran = toy.run(DOING, doing(kills="os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"))

    assert ran.outcomes == {"kills": failed(Reason.EXIT_STATUS)}
    assert ran.exit_code == 1
    cell = ran.cells["kills"]
    assert "exited with status 137, during test_toy.py::test_doing" in cell.message
    assert checks_of(cell) == {**around("missing"), "test_after": "missing"}


def test_cell_without_checks_fails(toy: Toy) -> None:
    skipping = {
        "test_toy.py": """
            import os, pytest

            if "SKIP" in os.environ:
                def test_skipped():
                    pytest.skip("rain")
            """
    }

    ran = toy.run(skipping, {"none": {}, "skipped": {"environment": {"SKIP": "1"}}})

    assert ran.outcomes == dict.fromkeys(("none", "skipped"), failed(Reason.NO_CHECKS))
    assert ran.exit_code == 1


def test_cell_with_gpu_checks_is_partial_without_a_gpu(toy: Toy) -> None:
    device = {
        "test_toy.py": """
            def test_plain():
                pass

            def test_device(device):
                assert device == "cpu"
            """
    }

    ran = toy.run(device, {"cpu": {}, "cuda": {"gpu": True}})

    assert ran.outcomes == {"cpu": PASSED, "cuda": (CellOutcome.PARTIAL, Reason.MISSING_HARDWARE)}
    assert ran.exit_code == 0
    assert checks_of(ran.cells["cuda"]) == {"test_plain": "passed", "test_device": "skipped"}
    skipped = ran.cells["cuda"].checks[1]
    assert (skipped.reason, skipped.need) == ("no GPU", Need.GPU)
    assert ran.judged is not None
    assert ran.judged.unverified[0] == "1 check (no GPU)"


def test_unsatisfiable_cell_is_explained_and_not_built(toy: Toy) -> None:
    ran = toy.run(DOING, {"plain": {}, "unsolvable": {"requires": "six==99"}})

    unsatisfiable = (CellOutcome.UNSATISFIABLE, Reason.RESOLVER)
    assert ran.outcomes == {"plain": PASSED, "unsolvable": unsatisfiable}
    assert ran.exit_code == 0
    cell = ran.cells["unsolvable"]
    assert cell.message == "there is no six==99"
    assert (cell.lock, cell.image, cell.log) == (None, None, None)
    assert [step.name for step in cell.steps] == ["resolve"]


def test_check_that_passes_on_the_second_run_is_flaky(toy: Toy) -> None:
    # The file that the first run of the check leaves in /tmp makes its second run pass.
    wrong = doing(
        flaky="marker = '/tmp/ran'; made = os.path.exists(marker); open(marker, 'w'); assert made",
        fails="raise AssertionError('always')",
    )

    ran = toy.run(DOING, wrong)

    assert ran.outcomes == dict.fromkeys(wrong, failed(Reason.CHECKS))
    assert ran.exit_code == 1
    assert checks_of(ran.cells["flaky"]) == around("flaky")
    assert checks_of(ran.cells["fails"]) == around("failed")
    assert ran.cells["flaky"].checks[1].reason == "failed, then passed when run alone"
    assert ran.judged is not None
    assert ran.judged.verdict is Verdict.NOT_READY
