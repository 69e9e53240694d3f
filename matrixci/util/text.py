"""Phrases of messages: suggestions, lists, numbers, and text of unknown origin."""

import difflib
from collections.abc import Iterable
from typing import Final

_LISTED: Final = 20
_SHOWN_CHARACTERS: Final = 500
_EXACT: Final = 100_000
"""Whole numbers below this are counts, and are not rounded."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None if none is similar."""
    by_folded = {name.casefold(): name for name in known}
    folded = word.casefold()
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    begins = [name for name in by_folded if folded and name.startswith(folded)]
    return next((by_folded[name] for name in [*close, *begins]), None)


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Return the names as "a, b, c and 2 more", listing at most `most` of them."""
    every = list(names)
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion as the end of a sentence."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f'did you mean "{near}"?'
    return f"available: {listed(names) or 'none'}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest known word, or else lists all of them."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f'Did you mean "{near}"?'
    return f"Available: {listed(names) or 'none'}."


def several(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def rounded(value: float) -> str:
    """Return a measured number with three significant digits; smaller whole numbers are exact."""
    if value.is_integer() and abs(value) < _EXACT:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):,.10g}"


def printable(text: str) -> str:
    """Return text of unknown origin with line ends and control characters made visible.

    The output of a container may have sequences that move the cursor or set a title.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def in_line(text: str) -> str:
    """Return text of unknown origin as part of one line, truncated if it is very long."""
    cut = len(text) > _SHOWN_CHARACTERS
    return printable(f"{text[:_SHOWN_CHARACTERS]}…" if cut else text)
