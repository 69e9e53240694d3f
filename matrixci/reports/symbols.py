"""The sign that stands beside each outcome's word, so that no colour is needed to read it."""

from collections.abc import Mapping
from typing import Final

from matrixci.model import CellOutcome, CheckOutcome

CELL_GLYPHS: Final[Mapping[CellOutcome, str]] = {
    CellOutcome.PASSED: "✓",
    CellOutcome.PARTIAL: "◐",
    CellOutcome.FAILED: "✗",
    CellOutcome.UNSATISFIABLE: "∅",
    CellOutcome.BLOCKED: "■",
    CellOutcome.ERROR: "!",
    CellOutcome.CANCELLED: "⊘",
    CellOutcome.MISSING: "?",
}
CHECK_GLYPHS: Final[Mapping[CheckOutcome, str]] = {
    CheckOutcome.PASSED: "✓",
    CheckOutcome.FAILED: "✗",
    CheckOutcome.CRASHED: "✗",
    CheckOutcome.TIMED_OUT: "✗",
    CheckOutcome.KNOWN: "≈",
    CheckOutcome.FIXED: "↑",
    CheckOutcome.FLAKY: "~",
    CheckOutcome.SKIPPED: "·",
    CheckOutcome.MISSING: "?",
}
WARNING_GLYPH: Final = "!"
"""The sign of a check that failed and only warns."""
STYLES: Final[Mapping[CellOutcome, str]] = {
    CellOutcome.PASSED: "green",
    CellOutcome.PARTIAL: "cyan",
    CellOutcome.FAILED: "bold red",
    CellOutcome.UNSATISFIABLE: "dim",
    CellOutcome.BLOCKED: "bold magenta",
    CellOutcome.ERROR: "bold yellow",
    CellOutcome.CANCELLED: "dim",
    CellOutcome.MISSING: "bold yellow",
}
