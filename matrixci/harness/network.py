"""Detection of failures caused by the missing network of the sandbox."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT: Final = "The sandbox has no network: nothing outside the container can be reached."

_MOST_ERRORS: Final = 100  # of one chain
_SHORT: Final = 3  # lines of a message that reports show
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
    """Return whether an error or one of its causes is a failed lookup or an unreachable network.

    Args:
        error: the raised error. Libraries often wrap the original error several times.
    """
    return any(_is_of_network(each) for each in _chain(error))


def is_named(text: str) -> bool:
    """Return whether a text, such as the output of a child process, names such an error."""
    return _TEXT.search(text) is not None


def hinted(message: str) -> str:
    """Return a message with the hint added, near the top if the message is long."""
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
    """Yield an error, its causes, and the errors in its arguments or group."""
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
