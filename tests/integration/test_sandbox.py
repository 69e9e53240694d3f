"""Tests of the sandbox, by the checks of sandbox_checks.py, which run inside a container."""

import re
from pathlib import Path

from toy import Toy

from matrixci.model import CellOutcome

SANDBOX_CHECKS = Path(__file__).parents[1] / "support/sandbox_checks.py"


def test_sandbox_restricts_checks(toy: Toy) -> None:
    source = SANDBOX_CHECKS.read_text()

    ran = toy.run(
        {"test_sandbox_checks.py": source}, {"plain": {"environment": {"OF_THE_CELL": "1"}}}
    )

    cell = ran.cells["plain"]
    assert {check.id: check.message for check in cell.checks if check.outcome != "passed"} == {}
    assert (cell.outcome, ran.exit_code) == (CellOutcome.PASSED, 0)
    ids = "\n".join(check.id for check in cell.checks)
    assert set(re.findall(r"test_sandbox_checks\.py::(\w+)", ids)) == set(
        re.findall(r"def (test\w+)", source)
    )
