"""A check is shut in: tried by the checks of inside.py, in the container."""

import re
from pathlib import Path

from toy import Toy

from matrixci.model import CellOutcome

INSIDE = Path(__file__).parents[1] / "support/sandbox_checks.py"


def test_a_check_is_shut_in(toy: Toy) -> None:
    source = INSIDE.read_text()

    ran = toy.run({"test_inside.py": source}, {"plain": {"environment": {"OF_THE_CELL": "1"}}})

    cell = ran.cells["plain"]
    assert {check.id: check.message for check in cell.checks if check.outcome != "passed"} == {}
    assert (cell.outcome, ran.exit_code) == (CellOutcome.PASSED, 0)
    ids = "\n".join(check.id for check in cell.checks)
    assert set(re.findall(r"test_inside\.py::(\w+)", ids)) == set(
        re.findall(r"def (test\w+)", source)
    )
