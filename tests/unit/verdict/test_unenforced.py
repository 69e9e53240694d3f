from datetime import date

from factories import a_result, a_run, an_engine, cells

from matrixci.model import CellOutcome, CellResult, Reason
from matrixci.verdict.judge import judge
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.unenforced import unenforced_in, unenforced_words

ONE, TWO = cells(("3.12", "3.13"))


def judged(*results: CellResult, engine: tuple[str, ...] = ("pids",)) -> JudgedRun:
    run = a_run([result.cell for result in results], engine=an_engine(unenforced=engine))
    return judge(run, {one.cell.id: one for one in results}, (), date(2026, 11, 21))


def test_limit_of_every_cell_is_named_without_a_number() -> None:
    run = judged(a_result(ONE, unenforced=("memory",)), a_result(TWO, unenforced=("memory",)))
    assert unenforced_words(run) == "memory"


def test_limit_of_some_cells_is_named_with_their_number() -> None:
    results = a_result(ONE, unenforced=("memory", "cpus")), a_result(TWO, unenforced=("cpus",))
    assert unenforced_words(judged(*results)) == "memory (1 of 2 cells), cpus"


def test_limits_of_the_engine_apply_to_a_cell_without_a_record() -> None:
    run = judged(a_result(ONE, unenforced=None), a_result(TWO, unenforced=()))
    assert [unenforced_in(run.run, cell) for cell in run.cells] == [("pids",), ()]
    assert unenforced_words(run) == "pids (1 of 2 cells)"


def test_limits_of_the_engine_are_named_if_no_cell_ran() -> None:
    blocked = a_result(ONE, CellOutcome.BLOCKED, reason=Reason.BUILD)
    run = judged(blocked, engine=("memory", "pids"))
    assert unenforced_words(run) == "memory, pids"
    assert unenforced_in(run.run, run.cells[0]) == ()


def test_names_of_limits_are_escaped() -> None:
    run = judged(a_result(ONE, unenforced=("a\nb",)))
    assert "\n" not in unenforced_words(run)
