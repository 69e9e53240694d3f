"""One class for each thing the user can do something about, each with its exit code."""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """Exit codes of the program."""

    READY = 0
    FAILURES = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INTERRUPTED = 130


class MatrixciError(Exception):
    """Base of errors that are printed without a traceback."""

    exit_code = ExitCode.INFRASTRUCTURE


class UsageError(MatrixciError):
    """A mistake in the command, such as an unknown run or a selection that matches nothing."""

    exit_code = ExitCode.USAGE


class MatrixFileError(UsageError):
    """Mistakes in matrix.yaml, each with its file, line and path."""


class SubjectError(UsageError):
    """A subject or other requirement that cannot be read, downloaded or built into a wheel."""


class EngineError(MatrixciError):
    """The container engine is missing, too old, not accessible, or has stopped."""


class LimitsError(EngineError):
    """The engine does not enforce a required limit; retrying does not help."""


class ResolverError(MatrixciError):
    """The package index is unreachable, refuses access, or closes the connection."""


class DiskFullError(MatrixciError):
    """A disk that a run needs has too little free space."""


class BaseImageError(MatrixciError):
    """A base image can be neither pulled nor assembled."""


class NoInterpreterError(BaseImageError):
    """This machine has no interpreter for a base image; retrying does not help."""


INFRASTRUCTURE: Final = (ResolverError, BaseImageError, EngineError)
"""Errors of the index, a registry or the engine, which may be temporary."""


class RunFilesError(MatrixciError):
    """A file of a run cannot be written or read."""


class HistoryError(MatrixciError):
    """The history cannot be read or written: it is locked, read-only, or of a newer version."""


class DamagedHistoryError(HistoryError):
    """The history file is damaged, or not an SQLite database."""


class ReadOnlyHistoryError(HistoryError):
    """The history file or its folder is read-only."""


class GitHubError(MatrixciError):
    """GitHub cannot be reached, or refuses."""


class NotReproducibleError(UsageError):
    """A cell or check that cannot be run again from the run's files."""


class NotGreenError(MatrixciError):
    """Constraints were requested for a cell that is not green."""

    exit_code = ExitCode.FAILURES
