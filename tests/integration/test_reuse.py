"""Tests of reusing results of earlier runs; the engine knows which containers started."""

from engine_state import started_containers
from toy import PASSING, PLAIN, Toy

from matrixci.model import CellOutcome, Reason, StepName

FAILING = {"test_toy.py": "def test_fails():\n    assert False\n"}
SAME = {"checks": PASSING, "modes": PLAIN}


def test_passed_cell_is_reused_until_something_changes(toy: Toy) -> None:
    first = toy.run(PASSING)
    same = toy.run(PASSING)

    assert (started_containers(first.run), started_containers(same.run)) == (1, 0)
    (cell,) = same.cells.values()
    assert (cell.outcome, same.exit_code) == (CellOutcome.PASSED, 0)
    assert cell.reused_from == first.run
    assert cell.checks == first.cells["plain"].checks
    assert not {StepName.START, StepName.CHECKS} & {step.name for step in cell.steps}
    assert same.file(cell.log) == first.file(first.cells["plain"].log)

    changed_check = {"test_toy.py": PASSING["test_toy.py"] + "\n        # changed"}
    for changed in (
        toy.run(PASSING, fresh=True),
        toy.run(changed_check),
        toy.run(PASSING, {"plain": {"environment": {"CHANGED": "1"}}}),
        toy.run(PASSING, limits={"tmp-size": "32 MiB"}),
    ):
        assert changed.cells["plain"].reused_from is None
        assert started_containers(changed.run) == 1


def test_failed_cell_is_not_reused(toy: Toy) -> None:
    for ran in (toy.run(FAILING), toy.run(FAILING)):
        assert ran.outcomes == {"plain": (CellOutcome.FAILED, Reason.CHECKS)}
        assert ran.exit_code == 1
        assert ran.cells["plain"].reused_from is None
        assert started_containers(ran.run) == 1
