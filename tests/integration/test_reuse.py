"""Which results of earlier runs still hold, by the engine's own record of what was started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from matrixci.model import CellOutcome, StepName

from .toy import PASSING, PLAIN, Ran, Toy, containers_begun

FAILING = {"test_toy.py": "def test_fails():\n    assert False\n"}


def reused_from(ran: Ran) -> list[str | None]:
    return [cell.reused_from for cell in ran.cells.values()]


def test_a_passed_cell_is_reused_until_something_changes(toy: Toy) -> None:
    first = toy.run(PASSING)
    assert containers_begun(first.stored.run.id) == 1

    again = toy.run(PASSING)
    assert again.exit_code == 0
    assert containers_begun(again.stored.run.id) == 0
    ...
