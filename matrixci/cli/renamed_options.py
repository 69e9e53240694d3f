"""Options of earlier versions that have another name now."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final

from matrixci.errors import UsageError

RENAMED: Final[Mapping[str, str]] = {"--home": "--work-dir"}


def new_name(word: str) -> str | None:
    """Return the present name of an option, or None if it was not renamed."""
    return RENAMED.get(word.partition("=")[0])


def refuse_renamed(words: Sequence[str]) -> None:
    """Refuse options by their earlier names.

    Raises:
        UsageError: there is one; the message has its present name.
    """
    for word in takewhile(lambda each: each != "--", words):
        if name := new_name(word):
            msg = f'Unknown option {word}. Did you mean "{name}"?'
            raise UsageError(msg)
