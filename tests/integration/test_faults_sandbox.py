"""What a hostile check would try is refused; two cells side by side see nothing of each other."""

import re
from pathlib import Path

import pytest
from toy import Toy

from matrixci.model import CellOutcome

pytestmark = pytest.mark.faults

TRIED = Path(__file__).parents[1] / "support/escape_checks.py"


def test_what_a_hostile_check_tries_is_refused(toy: Toy) -> None:
    source = TRIED.read_text()

    ran = toy.run({"test_shut_in.py": source}, {"one": {}, "two": {"environment": {"OTHER": "1"}}})

    for cell in ran.cells.values():
        passed = {"passed", "skipped"}
        assert {each.id: each.message for each in cell.checks if each.outcome not in passed} == {}
        assert cell.outcome is CellOutcome.PASSED
        ids = "\n".join(each.id for each in cell.checks)
        assert set(re.findall(r"test_shut_in\.py::(\w+)", ids)) == set(
            re.findall(r"def (test\w+)", source)
        )
    assert ran.exit_code == 0
