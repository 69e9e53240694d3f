"""Whether a failure comes from the sandbox having no network, by the error's kind or its text."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT: Final = "The sandbox has no network: nothing outside the container can be reached."

_MOST_ERRORS: Final = 100  # of one chain
_SHORT: Final = 3  # lines of a message that a report shows in full
_LOOKUP: Final = frozenset(
    getattr(socket, name)
    for name in ("EAI_AGAIN", "EAI_FAIL", "EAI_NODATA", "EAI_NONAME")
    if hasattr(socket, name)
)
_UNREACHABLE: Final = frozenset((errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH))
_TEXT: Final = re.compile(
    r"temporary failure in name resolution"
    r"|name or service not known"
    r"|no address associated with hostname"
    r"|could(?:n't| not) resolve host"
    r"|failed to resolve|nameresolutionerror|getaddrinfo (?:failed|eai_again|enotfound)|dns error"
    r"|network is unreachable|no route to host|\bENETUNREACH\b",
    re.IGNORECASE,
)


def is_cause(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, is a failed lookup or an unreachable network.

    Args:
        error: as it was raised. Libraries wrap such errors in their own, several times over.
    """
    return any(_is_of_network(each) for each in _chain(error))


def is_named(text: str) -> bool:
    """Tell whether a text, such as the output of a child process, speaks of such an error."""
    return _TEXT.search(text) is not None


def hinted(message: str) -> str:
    """Return a failure's message with the hint: at its end, or where reports still show it."""
    if HINT in message:
        return message
    lines = message.splitlines()
    place = len(lines) if len(lines) <= _SHORT else 1
    return "\n".join([*lines[:place], HINT, *lines[place:]])


def _is_of_network(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno in _LOOKUP
    return isinstance(error, OSError) and error.errno in _UNREACHABLE


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it, also what it keeps in its arguments and a group."""
    left: list[BaseException] = [error]
    seen: set[int] = set()
    while left and len(seen) < _MOST_ERRORS:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        group = getattr(one, "exceptions", ())  # of an ExceptionGroup
        kept += tuple(group) if isinstance(group, (tuple, list)) else ()
        left.extend(each for each in kept if isinstance(each, BaseException))
