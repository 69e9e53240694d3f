"""Symbols and colours of outcomes. Symbols make reports readable without colour."""

from typing import Final, assert_never

from matrixci.model import CellOutcome, CheckOutcome

WARNING_GLYPH: Final = "!"
"""The sign of a failed check that only warns."""


def _cell_symbol(outcome: CellOutcome) -> tuple[str, str]:
    """Return the sign of a cell's outcome, and its style in the terminal."""
    match outcome:
        case CellOutcome.PASSED:
            return "✓", "green"
        case CellOutcome.PARTIAL:
            return "◐", "cyan"
        case CellOutcome.FAILED:
            return "✗", "bold red"
        case CellOutcome.UNSATISFIABLE:
            return "∅", "dim"
        case CellOutcome.BLOCKED:
            return "■", "bold magenta"
        case CellOutcome.ERROR:
            return "!", "bold yellow"
        case CellOutcome.CANCELLED:
            return "⊘", "dim"
        case CellOutcome.MISSING:
            return "?", "bold yellow"
        case _ as never:
            assert_never(never)


def _check_glyph(outcome: CheckOutcome) -> str:
    match outcome:
        case CheckOutcome.PASSED:
            return "✓"
        case CheckOutcome.FAILED | CheckOutcome.CRASHED | CheckOutcome.TIMED_OUT:
            return "✗"
        case CheckOutcome.KNOWN_ISSUE:
            return "≈"
        case CheckOutcome.UNEXPECTED_PASS:
            return "↑"
        case CheckOutcome.FLAKY:
            return "~"
        case CheckOutcome.SKIPPED:
            return "·"
        case CheckOutcome.MISSING:
            return "?"
        case _ as never:
            assert_never(never)


CELL_GLYPHS: Final = {each: _cell_symbol(each)[0] for each in CellOutcome}
CHECK_GLYPHS: Final = {each: _check_glyph(each) for each in CheckOutcome}
STYLES: Final = {each: _cell_symbol(each)[1] for each in CellOutcome}
