"""How the user started matrixci, and the commands in messages and reports.

Every printed command is built here, in the form that works for the user. For example, `nox -s`
works only in a folder with a noxfile that has such a session.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Final, assert_never


def given(command: Sequence[str], option: str) -> str | None:
    """Return the value of an option in a command line, or None if it is not given."""
    found = None
    for word, following in zip(command, [*command[1:], ""], strict=False):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found or None


class Caller(StrEnum):
    """How the user starts matrixci."""

    PROGRAM = "matrixci"
    MODULE = "python"
    UVX = "uvx"
    NOX = "nox"


VARIABLE: Final = "MATRIXCI_CALLED_BY"
"""Environment variable with the caller, for programs that run `python -m matrixci`."""


def caller(
    environment: Mapping[str, str] = os.environ,
    program: str | None = None,
    prefix: str = sys.prefix,
) -> Caller:
    """Return how this process was started.

    Args:
        environment: variables of the process; VARIABLE takes precedence.
        program: first word of the command line; None: of this process.
        prefix: the interpreter's prefix, which is in a cache if uvx runs it.
    """
    named = environment.get(VARIABLE)
    if named in set(Caller):
        return Caller(named)
    if any(part.startswith("archive-v") for part in PurePath(prefix).parts):
        return Caller.UVX
    path = PurePath(sys.argv[0] if program is None else program)
    return Caller.MODULE if path.name == "__main__.py" else Caller.PROGRAM


def argv(by: Caller, command: str, words: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a command line of matrixci.

    Args:
        by: how matrixci is started.
        command: name of the command.
        words: arguments and options.
    """
    separator = ("--",) if by is Caller.NOX and words else ()
    return (*_start(by), command, *separator, *words)


def command_of(line: Sequence[str]) -> str | None:
    """Return the command's name in a command line made by `argv`, or None if there is none.

    Args:
        line: the command line.
    """
    for by in Caller:
        start = _start(by)
        if tuple(line[: len(start)]) == start and len(line) > len(start):
            return line[len(start)]
    return None


def called(command: str, *words: str) -> str:
    """Return a command line of matrixci as the user of this process would type it.

    Args:
        command: name of the command.
        words: arguments and options.
    """
    return shlex.join(argv(caller(), command, words))


def _start(by: Caller) -> tuple[str, ...]:
    match by:
        case Caller.PROGRAM:
            return ("matrixci",)
        case Caller.MODULE:
            return ("python3", "-m", "matrixci")
        case Caller.UVX:
            return ("uvx", "matrixci")
        case Caller.NOX:
            return ("python3", "-m", "nox", "-s")
        case _ as never:
            assert_never(never)
