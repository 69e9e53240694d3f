"""Choose the most useful lines of a long failure message."""

import re
from collections.abc import Sequence
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'\s+File "')


def key_lines(lines: Sequence[str], most: int) -> list[str]:
    """Return the most useful lines, in their order.

    For a traceback, these are the exception with its message and the innermost frame. For other
    text, these are its beginning and its end.

    Args:
        lines: the message.
        most: maximum number of lines to return, 3 or more.
    """
    if len(lines) <= most:
        return list(lines)
    raised = _exception(lines)
    if raised is None:
        end = most // 2
        return [*lines[: most - end], *lines[-end:]]
    frames = [index for index in range(raised) if _FRAME.match(lines[index])]
    wanted = [0, *frames[-1:], *range(raised, len(lines))]
    chosen = sorted(dict.fromkeys(wanted))[:most]
    return [lines[index] for index in chosen]


def _exception(lines: Sequence[str]) -> int | None:
    """Return the index of the exception of the last traceback, or None without a traceback."""
    begins = [index for index, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if not begins:
        return None
    last = begins[-1]
    indent = len(lines[last]) - len(lines[last].lstrip())
    for index in range(last + 1, len(lines)):
        line = lines[index]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            return index
    return None
