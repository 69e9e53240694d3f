"""The folder of checks that a command uses."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from matrixci.errors import UsageError
from matrixci.matrix.definition import Matrix
from matrixci.matrix.loader import error_at_key
from matrixci.sandbox.check_filter import CHECK_FILES
from matrixci.util.digests import source_files
from matrixci.util.resources import data_folder

_BUILTIN: Final = "builtin"
"""Value of `checks` in matrix.yaml for the checks that come with matrixci."""


def checks_folder(folder: Path | None) -> Path:
    """Return a folder of checks; None is the built-in one.

    Raises:
        UsageError: the folder does not exist, cannot be read, or has no checks.
    """
    path = folder or data_folder("checks")
    if not path.is_dir():
        raise UsageError(_no_folder(path))
    try:
        files = source_files(path)
    except OSError as error:
        msg = f"The checks in {path} cannot be read: {error.strerror} ({error.filename})"
        raise UsageError(msg) from error
    if not any(fnmatchcase(file.name, glob) for file in files for glob in CHECK_FILES):
        msg = f"No checks found in {path}: no file is named {' or '.join(CHECK_FILES)}."
        raise UsageError(msg)
    return path


def _no_folder(path: Path) -> str:
    if not path.exists():
        return f"The folder of checks {path} does not exist."
    only = f"--checks {path.parent} --check '{path.name}*'"
    return f"{path} is a file, not a folder. To run only this file: {only}"


def checks_of(matrix: Matrix, file: Path, option: Path | None) -> Path:
    """Return the folder of checks of a new run.

    Args:
        matrix: may name a folder, relative to its file.
        file: the matrix file.
        option: value of --checks, which takes precedence.

    Raises:
        UsageError: there are no checks; if the matrix names the folder, with its line.
    """
    if option is not None or matrix.checks in {None, _BUILTIN}:
        return checks_folder(option)
    try:
        return checks_folder(file.parent / str(matrix.checks))
    except UsageError as error:
        raise error_at_key(file, "checks", str(error)) from None
