import io
import re
import threading
from contextlib import ExitStack

import pytest
from factories import RUN, a_cell, a_check, a_result, cells
from rich.console import Console

from matrixci.cli.progress import Progress
from matrixci.model import Cell, CellOutcome, CheckOutcome, Reason, StepName
from matrixci.outcomes import GREEN
from matrixci.reports.symbols import CELL_GLYPHS

CELL = a_cell()
SGR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A progress, and what it has written so far."""

    def __init__(self, *, terminal: bool, width: int = 80, height: int = 24) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        self.console = Console(
            file=self.file,
            width=width,
            height=height,
            force_terminal=terminal,
            color_system=None,
        )
        self.progress = Progress(self.console, lambda: self.now)

    @property
    def lines(self) -> list[str]:
        """What is written, without the clock that begins each line."""
        lines = self.file.getvalue().splitlines()
        assert all(re.match(r" *\d+:\d\d ", line) for line in lines)
        return [line.partition(":")[2][3:] for line in lines]

    def shown(self) -> list[str]:
        """The table that a terminal shows now."""
        with self.console.capture() as capture:
            self.console.print(self.progress._render())
        return [line.rstrip() for line in capture.get().splitlines()]


def test_without_a_terminal_each_event_is_a_line() -> None:
    screen = Screen(terminal=False)
    with screen.progress.showing():
        screen.progress.planned(cells(("3.12", "3.13")))
        screen.progress.entered(CELL, StepName.RESOLVE)
        screen.progress.said("no registry answers")
        screen.progress.ended(a_result(CELL))
    assert screen.lines == [
        "2 cells",
        "py3.12-numpy2-cpu: resolving",
        "no registry answers",
        "py3.12-numpy2-cpu: ✓ passed",
    ]


@pytest.mark.parametrize("step", StepName)
def test_every_step_has_a_label(step: StepName) -> None:
    screen = Screen(terminal=False)
    screen.progress.entered(CELL, step)
    (line,) = screen.lines
    assert re.fullmatch(r"py3\.12-numpy2-cpu: [a-z ]+", line)


@pytest.mark.parametrize("outcome", CellOutcome)
def test_every_outcome_is_shown_with_the_first_line_of_its_reason(outcome: CellOutcome) -> None:
    screen = Screen(terminal=False)
    screen.progress.ended(a_result(CELL, outcome, message="why it is so\nand more"))
    screen.progress.ended(a_result(CELL, outcome))
    glyph = CELL_GLYPHS[outcome]
    mark = "," if outcome in GREEN else ":"
    assert screen.lines == [
        f"py3.12-numpy2-cpu: {glyph} {outcome}{mark} why it is so",
        f"py3.12-numpy2-cpu: {glyph} {outcome}",
    ]


def test_reused_result_is_shown_with_its_run() -> None:
    screen = Screen(terminal=False)
    screen.progress.ended(a_result(CELL, reused_from=RUN))
    assert screen.lines == [f"py3.12-numpy2-cpu: ✓ passed (reused from {RUN})"]


def test_a_long_line_is_not_folded() -> None:
    screen = Screen(terminal=False, width=40)
    screen.progress.said("x" * 200)
    assert screen.lines == ["x" * 200]


def test_terminal_shows_the_state_of_each_cell_once() -> None:
    screen = Screen(terminal=True)
    one, two, three = cells(("3.11", "3.12", "3.13"))
    screen.progress.planned((one, two, three))
    screen.progress.entered(one, StepName.RESOLVE)
    screen.progress.entered(one, StepName.BUILD)
    screen.progress.entered(two, StepName.CHECKS)
    screen.progress.ended(a_result(two, CellOutcome.BLOCKED, message="pip failed\nat once"))
    assert screen.file.getvalue() == ""
    assert [" ".join(line.split()) for line in screen.shown()] == [
        "0:00 1/3 cells step for",
        "py3.11-numpy2-cpu building 0 s",
        "py3.12-numpy2-cpu ■ blocked: pip failed",
        "py3.13-numpy2-cpu waiting",
    ]


def test_message_of_the_checks_follows_one_colon() -> None:
    screen = Screen(terminal=False)
    screen.progress.ended(a_result(CELL, message="1 warning: test_stack.py::test_it"))
    checks = [a_check(outcome=CheckOutcome.FAILED)]
    failed = a_result(
        CELL, CellOutcome.FAILED, checks, reason=Reason.CHECKS, message="1 failed of 6: a.py::x"
    )
    screen.progress.ended(failed)
    assert screen.lines == [
        "py3.12-numpy2-cpu: ✓ passed, 1 warning: test_stack.py::test_it",
        "py3.12-numpy2-cpu: ✗ failed, 1 failed of 6: a.py::x",
    ]


def many_cells(screen: Screen) -> tuple[Cell, ...]:
    """Show 32 cells: six have ended, and two in the middle are running."""
    every = tuple(a_cell(id=f"cell{number:02}") for number in range(32))
    screen.progress.planned(every)
    for cell in every[:6]:
        screen.progress.entered(cell, StepName.CHECKS)
        bad = cell is every[0]
        screen.progress.ended(a_result(cell, CellOutcome.FAILED if bad else CellOutcome.PASSED))
    for cell in (every[20], every[30]):
        screen.progress.entered(cell, StepName.CHECKS)
    return every


@pytest.mark.parametrize("stages", [0, 3])
def test_running_cells_are_shown_first_if_not_all_fit(stages: int) -> None:
    screen = Screen(terminal=True, height=12)
    many_cells(screen)
    with ExitStack() as stack:
        for number in range(stages):
            stack.enter_context(screen.progress.stage(f"layer {number}"))
        shown = screen.shown()
    assert len(shown) == 12
    rows = [" ".join(row.split()) for row in shown[1 + stages :]]
    assert rows[:3] == ["cell20 running checks 0 s", "cell30 running checks 0 s", "cell00 ✗ failed"]
    message = {
        0: "… and 22 more 22 waiting",
        3: "… and 25 more 1 passed, 24 waiting",
    }
    assert rows[-1] == message[stages]


def test_all_cells_are_shown_if_they_fit_or_have_ended() -> None:
    screen = Screen(terminal=True, height=33)
    every = many_cells(screen)
    assert [row.split()[0] for row in screen.shown()[1:]] == [cell.id for cell in every]
    low = Screen(terminal=True, height=12)
    for cell in many_cells(low):
        low.progress.ended(a_result(cell))
    assert [row.split()[0] for row in low.shown()[1:]] == [cell.id for cell in every]


def test_a_long_reason_takes_one_line() -> None:
    screen = Screen(terminal=True)
    screen.progress.planned((CELL,))
    screen.progress.ended(a_result(CELL, CellOutcome.BLOCKED, message="why " * 60))
    assert len(screen.shown()) == 2


def test_a_terminal_keeps_the_table_and_the_remarks() -> None:
    screen = Screen(terminal=True)
    with screen.progress.showing():
        screen.progress.planned((CELL,))
        screen.progress.said("no registry answers")
        screen.progress.ended(a_result(CELL))
    text = SGR.sub("", screen.file.getvalue())
    assert "no registry answers" in text
    assert text.rstrip().endswith("py3.12-numpy2-cpu  ✓ passed")


HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] [/] \u202e"
SHOWN = r"\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] [/] \x202e"


def test_hostile_text_is_shown_and_does_nothing() -> None:
    screen = Screen(terminal=False, width=200)
    screen.progress.said(HOSTILE)
    screen.progress.ended(a_result(CELL, CellOutcome.BLOCKED, message=HOSTILE))
    screen.progress.ended(a_result(CELL, reused_from=HOSTILE))
    assert screen.lines == [
        SHOWN,
        f"py3.12-numpy2-cpu: ■ blocked: {SHOWN}",
        f"py3.12-numpy2-cpu: ✓ passed (reused from {SHOWN})",
    ]
    on_screen = Screen(terminal=True, width=200)
    on_screen.progress.planned((CELL,))
    on_screen.progress.ended(a_result(CELL, CellOutcome.BLOCKED, message=HOSTILE))
    assert on_screen.shown()[1].endswith(SHOWN)


def test_a_stage_that_ended_is_a_line_with_its_time() -> None:
    screen = Screen(terminal=False)
    with screen.progress.stage("layer of torch (ab)"):
        screen.now += 34
    with screen.progress.stage("layer of torch (cd)"):  # it was there already
        screen.now += 0.4
    assert screen.lines == ["layer of torch (ab): done in 34 s"]
    assert screen.file.getvalue().startswith("  0:34 ")


def test_failed_stage_is_not_shown_as_done() -> None:
    screen = Screen(terminal=False)

    def fail() -> None:
        with screen.progress.stage("layer"):
            screen.now += 34
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the one above
        fail()
    screen.progress.report()
    assert screen.lines == []


def test_running_work_is_one_line() -> None:
    screen = Screen(terminal=False)
    one, two, three = cells(("3.11", "3.12", "3.13"))
    screen.progress.entered(one, StepName.BUILD)
    screen.progress.entered(two, StepName.BUILD)
    screen.progress.entered(three, StepName.CHECKS)
    screen.progress.ended(a_result(two))
    with screen.progress.stage("base system (bookworm)"):
        screen.now += 30
        screen.progress.report()
    assert screen.lines[-2:] == [
        "running: base system (bookworm) (30 s), 1 cell building, 1 cell running checks",
        "base system (bookworm): done in 30 s",
    ]


def test_lines_come_at_intervals_while_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrixci.cli.progress._INTERVAL_SECONDS", 0.001)
    screen = Screen(terminal=False)
    came = threading.Event()
    monkeypatch.setattr(screen.progress, "report", came.set)
    with screen.progress.showing():
        assert came.wait(60)


def test_terminal_shows_stages() -> None:
    screen = Screen(terminal=True)
    screen.progress.planned(cells(("3.12",)))
    with screen.progress.stage("layer of torch (ab)"):
        screen.now += 7
        assert any(re.search(r"layer of torch \(ab\) +running +7 s", row) for row in screen.shown())
    assert not any("layer" in row for row in screen.shown())
