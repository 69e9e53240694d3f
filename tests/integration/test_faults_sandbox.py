"""Tests that the sandbox refuses escape attempts of hostile checks."""

import re
from pathlib import Path

import pytest
from toy import Toy

from matrixci.model import CellOutcome

pytestmark = pytest.mark.faults

ESCAPE_CHECKS = Path(__file__).parents[1] / "support/escape_checks.py"


def test_escape_attempts_are_refused(toy: Toy) -> None:
    source = ESCAPE_CHECKS.read_text()

    ran = toy.run({"test_escape.py": source}, {"one": {}, "two": {"environment": {"OTHER": "1"}}})

    for cell in ran.cells.values():
        passed = {"passed", "skipped"}
        assert {each.id: each.message for each in cell.checks if each.outcome not in passed} == {}
        assert cell.outcome is CellOutcome.PASSED
        ids = "\n".join(each.id for each in cell.checks)
        assert set(re.findall(r"test_escape\.py::(\w+)", ids)) == set(
            re.findall(r"def (test\w+)", source)
        )
    assert ran.exit_code == 0
