"""Symbols and colours of outcomes. Symbols make reports readable without colour."""

from typing import Final, assert_never

from matrixci.model import CellOutcome, CheckOutcome

WARNING_GLYPH: Final = "!"
"""The sign of a failed check that only warns."""


def _cell_symbol(outcome: CellOutcome) -> tuple[str, str]:
    """Return the sign of a cell's outcome, and its style in the terminal."""
    match outcome:
        case CellOutcome.PASSED:
            symbol = "✓", "green"
        case CellOutcome.PARTIAL:
            symbol = "◐", "cyan"
        case CellOutcome.FAILED:
            symbol = "✗", "bold red"
        case CellOutcome.UNSATISFIABLE:
            symbol = "∅", "dim"
        case CellOutcome.BLOCKED:
            symbol = "■", "bold magenta"
        case CellOutcome.ERROR:
            symbol = "!", "bold yellow"
        case CellOutcome.CANCELLED:
            symbol = "⊘", "dim"
        case CellOutcome.MISSING:
            symbol = "?", "bold yellow"
        case _ as never:
            assert_never(never)
    return symbol


def _check_glyph(outcome: CheckOutcome) -> str:
    match outcome:
        case CheckOutcome.PASSED:
            glyph = "✓"
        case CheckOutcome.FAILED | CheckOutcome.CRASHED | CheckOutcome.TIMED_OUT:
            glyph = "✗"
        case CheckOutcome.KNOWN_ISSUE:
            glyph = "≈"
        case CheckOutcome.UNEXPECTED_PASS:
            glyph = "↑"
        case CheckOutcome.FLAKY:
            glyph = "~"
        case CheckOutcome.SKIPPED:
            glyph = "·"
        case CheckOutcome.MISSING:
            glyph = "?"
        case _ as never:
            assert_never(never)
    return glyph


CELL_GLYPHS: Final = {each: _cell_symbol(each)[0] for each in CellOutcome}
CHECK_GLYPHS: Final = {each: _check_glyph(each) for each in CheckOutcome}
STYLES: Final = {each: _cell_symbol(each)[1] for each in CellOutcome}
