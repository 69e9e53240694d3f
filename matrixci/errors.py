"""One class for each thing the user can do something about, each with its exit code."""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """What the process says to the shell that started it."""

    READY = 0
    FAILURES = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INTERRUPTED = 130


class MatrixciError(Exception):
    """Base of all that is told to the user in plain words, without a traceback."""

    exit_code = ExitCode.INFRASTRUCTURE


class UsageError(MatrixciError):
    """A mistake in the command: a selection that matches nothing, an unknown run."""

    exit_code = ExitCode.USAGE


class MatrixFileError(UsageError):
    """One or more mistakes in matrix.yaml, each with its file, line and path."""


class SubjectError(UsageError):
    """A subject, or a requirement beside it, that can't be read, fetched or made into a wheel."""


class EngineError(MatrixciError):
    """The container engine is absent, too old, not permitted, or was lost."""


class LimitsError(EngineError):
    """The engine does not enforce a limit that is required; another attempt would not change it."""


class ResolverError(MatrixciError):
    """The resolver could not answer: the index is unreachable, refuses, or breaks off."""


class DiskFullError(MatrixciError):
    """A disk that a run would fill has too little room."""


class BaseImageError(MatrixciError):
    """A base image can neither be pulled nor assembled."""


class NoInterpreterError(BaseImageError):
    """This machine has no interpreter for a base image; another attempt would not find one."""


INFRASTRUCTURE: Final = (ResolverError, BaseImageError, EngineError)
"""What another attempt may not meet again: an index, a registry or an engine that was away."""


class RunFilesError(MatrixciError):
    """The run's folder can't be written or read."""


class HistoryError(MatrixciError):
    """The history can't be read or written: locked, read-only, of a newer version."""


class DamagedHistoryError(HistoryError):
    """The history's file is no SQLite database, or a broken one."""


class ReadOnlyHistoryError(HistoryError):
    """The history's file or folder is not open to changes."""


class GitHubError(MatrixciError):
    """GitHub, or the program that speaks to it, refuses or can't be reached."""


class NotReproducibleError(UsageError):
    """A cell or a check that can't be run again from the run's files; another command can."""


class NotGreenError(MatrixciError):
    """Constraints are asked of a cell that wasn't verified."""

    exit_code = ExitCode.FAILURES
