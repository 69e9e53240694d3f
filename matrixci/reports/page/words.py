"""Words, symbols and tones of outcomes on the page, and links to issues."""

import re
from typing import Final, Literal, assert_never

from matrixci.model import CellOutcome, CheckOutcome
from matrixci.reports.symbols import CELL_GLYPHS, CHECK_GLYPHS
from matrixci.verdict.judged import Change, GateOutcome

Tone = Literal["good", "info", "warn", "bad", "mute"]
"""Colour of an outcome, in addition to its symbol and its word."""

GATE_GLYPHS: Final = {GateOutcome.MET: "✓", GateOutcome.UNMET: "✗", GateOutcome.UNVERIFIED: "?"}

_REFERENCE: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100})#([0-9]{1,9})"
)


def link_of(reference: str | None) -> str | None:
    """Return the URL of an issue reference such as owner/repo#1, or None for any other text."""
    match = _REFERENCE.fullmatch(reference or "")
    return f"https://github.com/{match[1]}/issues/{match[2]}" if match else None


def _check_code(outcome: CheckOutcome) -> str:
    match outcome:
        case CheckOutcome.PASSED:
            return "p"
        case CheckOutcome.FAILED:
            return "f"
        case CheckOutcome.CRASHED:
            return "c"
        case CheckOutcome.TIMED_OUT:
            return "t"
        case CheckOutcome.KNOWN_ISSUE:
            return "k"
        case CheckOutcome.UNEXPECTED_PASS:
            return "x"
        case CheckOutcome.FLAKY:
            return "y"
        case CheckOutcome.SKIPPED:
            return "s"
        case CheckOutcome.MISSING:
            return "m"
        case _ as never:
            assert_never(never)


CHECK_CODES: Final = {each: _check_code(each) for each in CheckOutcome}
"""Check outcome to the character that represents it in the page's data."""


def check_tone(outcome: CheckOutcome) -> Tone:
    """Return the tone of a check's outcome."""
    match outcome:
        case CheckOutcome.PASSED:
            return "good"
        case (
            CheckOutcome.FAILED
            | CheckOutcome.CRASHED
            | CheckOutcome.TIMED_OUT
            | CheckOutcome.MISSING
            | CheckOutcome.FLAKY
        ):
            return "bad"
        case CheckOutcome.UNEXPECTED_PASS:
            return "warn"
        case CheckOutcome.KNOWN_ISSUE:
            return "info"
        case CheckOutcome.SKIPPED:
            return "mute"
        case _ as never:
            assert_never(never)


def cell_tone(outcome: CellOutcome) -> Tone:
    """Return the tone of a cell's outcome."""
    match outcome:
        case CellOutcome.PASSED:
            return "good"
        case CellOutcome.PARTIAL:
            return "info"
        case CellOutcome.FAILED | CellOutcome.BLOCKED:
            return "bad"
        case CellOutcome.ERROR | CellOutcome.MISSING:
            return "warn"
        case CellOutcome.UNSATISFIABLE | CellOutcome.CANCELLED:
            return "mute"
        case _ as never:
            assert_never(never)


def change_tone(change: Change) -> Tone:
    """Return the tone of a change against the baseline."""
    match change:
        case Change.REGRESSED | Change.DISAPPEARED | Change.NEWLY_UNSATISFIABLE:
            return "bad"
        case Change.FIXED | Change.NEWLY_SATISFIABLE:
            return "good"
        case Change.APPEARED:
            return "info"
        case Change.OTHER:
            return "mute"
        case _ as never:
            assert_never(never)


def gate_tone(outcome: GateOutcome, *, required: bool) -> Tone:
    """Return the tone of a gate. An advisory gate is never bad."""
    match outcome:
        case GateOutcome.MET:
            return "good"
        case GateOutcome.UNMET | GateOutcome.UNVERIFIED:
            return "bad" if required else "warn"
        case _ as never:
            assert_never(never)


def outcome_legend() -> dict[str, list[list[str]]]:
    """Return every outcome and change as [code, word, symbol, tone], in report order."""
    return {
        "cellOutcomes": [[str(o), str(o), CELL_GLYPHS[o], cell_tone(o)] for o in CellOutcome],
        "checkOutcomes": [
            [CHECK_CODES[o], str(o), CHECK_GLYPHS[o], check_tone(o)] for o in CheckOutcome
        ],
        "changes": [[str(c), str(c), "", change_tone(c)] for c in Change],
    }
