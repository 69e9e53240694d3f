from collections.abc import Collection
from datetime import date

import pytest
from factories import a_cell, a_check, a_result, a_run, cells

from matrixci.model import Cell, CellOutcome, CheckOutcome, Reason
from matrixci.verdict.cell_sets import common_values, failing_words, outcomes_of, set_words
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun

RUN_DAY = date(2026, 11, 21)
EVERY = cells(("3.10", "3.11", "3.12"), ("1.x", "2.x"), ("cpu", "cuda"))


def ids(*words: str) -> set[str]:
    """Return the ids of the cells that have all of these words in it."""
    return {cell.id for cell in EVERY if all(word in cell.id for word in words)}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (ids(), "every cell"),
        (ids("numpy2"), "every cell with numpy 2.x"),
        (ids("numpy2", "cuda"), "every cell with numpy 2.x and device cuda"),
        (ids("3.10") | ids("3.12"), "every cell with python 3.10 or 3.12"),
        (
            ids("3.10", "cpu") | ids("3.12", "cpu"),
            "every cell with python 3.10 or 3.12 and device cpu",
        ),
        (ids("3.10", "numpy2", "cuda"), ""),
        (ids("3.10", "numpy2"), ""),  # two names say it in as few words
        (
            ids("3.10", "cpu") | ids("3.11", "cpu") | ids("3.12", "cpu"),
            "every cell with device cpu",
        ),
        (ids("numpy2") - ids("3.10", "cpu"), ""),
        (ids("numpy2") | ids("3.10", "numpy1", "cpu"), ""),
    ],
)
def test_a_set_is_described_by_common_axis_values(chosen: Collection[str], words: str) -> None:
    assert set_words(chosen, EVERY, EVERY) == words


def test_a_description_fits_exactly_the_chosen_cells() -> None:
    for number in range(2 ** len(EVERY[:8])):
        chosen = {cell.id for place, cell in enumerate(EVERY[:8]) if number >> place & 1}
        values = common_values(chosen, EVERY)
        if chosen and values is not None:
            matching = {
                cell.id
                for cell in EVERY
                if all(cell.axes[axis] in of for axis, of in values.items())
            }
            assert matching == chosen


def test_cells_without_the_check_are_ignored() -> None:
    ran = [cell for cell in EVERY if not cell.gpu]
    assert set_words(ids("cpu"), ran, EVERY) == "every cell that ran it"
    assert set_words(ids("numpy2", "cpu"), ran, EVERY) == "every cell with numpy 2.x that ran it"


def run_of(outcomes: dict[str, CheckOutcome]) -> JudgedRun:
    def result(cell: Cell) -> CellOutcome:
        bad = outcomes.get(cell.id) in {CheckOutcome.FAILED, CheckOutcome.CRASHED}
        return CellOutcome.FAILED if bad else CellOutcome.PASSED

    results = {
        cell.id: a_result(
            cell,
            result(cell),
            [a_check("a::x", outcomes[cell.id]), a_check("a::y")]
            if cell.id in outcomes
            else [a_check("a::y")],
            reason=Reason.CHECKS if result(cell) is CellOutcome.FAILED else None,
        )
        for cell in EVERY
    }
    return judge(a_run(EVERY), results, (), RUN_DAY)


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (CheckOutcome.PASSED, "every cell with numpy 2.x, and in no other"),
        (CheckOutcome.CRASHED, "every cell with numpy 2.x"),
        (CheckOutcome.SKIPPED, "every cell that ran it"),
    ],
)
def test_in_no_other_is_added_only_if_the_check_passed_elsewhere(
    elsewhere: CheckOutcome, words: str
) -> None:
    chosen = ids("numpy2")
    run = run_of(
        {cell.id: CheckOutcome.FAILED if cell.id in chosen else elsewhere for cell in EVERY}
    )
    assert failing_words(run, chosen, outcomes_of(run, {"a::x"})["a::x"]) == words


def test_a_single_cell_is_named_by_its_id() -> None:
    alone = [a_cell()]
    assert set_words({alone[0].id}, alone, alone) == ""
