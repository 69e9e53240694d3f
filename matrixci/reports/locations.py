"""Locations of findings in a repository, for SARIF and annotations."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from matrixci.model import CheckOutcome, CheckResult, Run
from matrixci.reports.escape import visible
from matrixci.util.invocation import given
from matrixci.verdict.judged import JudgedCell

_MATRIX: Final = "matrix.yaml"
_CHECKS: Final = PurePosixPath("checks")


@dataclass(frozen=True, kw_only=True)
class Location:
    """A file, and a line in it if known."""

    path: str
    """relative to the run's working directory, with slashes"""
    line: int | None = None
    """starts at 1; None if unknown"""
    known: bool = True
    """whether the file is certainly in the user's repository"""

    @property
    def words(self) -> str:
        """The location as compilers print it, such as "test_a.py:12"."""
        return self.path if self.line is None else f"{self.path}:{self.line}"


def check_location(run: Run, check: CheckResult) -> Location:
    """Return the location of a check."""
    folder = _folder_of_checks(run)
    return Location(
        path=str(PurePosixPath(folder or _CHECKS, *_parts(check.id.partition("::")[0]))),
        line=check.line,
        known=folder is not None,
    )


def matrix_location(run: Run) -> Location:
    """Return the location of the matrix file, for findings that belong to no check."""
    named = _within(given(run.command, "--matrix") or _MATRIX)
    return Location(path=str(named or _MATRIX), known=named is not None)


def cell_location(run: Run, cell: JudgedCell) -> Location:
    """Return the location of the check that was running when a cell ended, or of the matrix."""
    running = (c for c in cell.checks if c.outcome is CheckOutcome.MISSING and c.began)
    check = next(running, None)
    return matrix_location(run) if check is None else check_location(run, check)


def _folder_of_checks(run: Run) -> PurePosixPath | None:
    """Return the folder of checks, or None if it may be outside the user's repository."""
    named = run.setup.checks if run.setup else None
    if named is None:  # the built-in checks, which only a checkout of matrixci contains
        return _CHECKS if run.commit is not None else None
    return _within(named)


def _within(path: str) -> PurePosixPath | None:
    parts = PurePosixPath(path)
    return None if parts.is_absolute() or ".." in parts.parts else PurePosixPath(visible(path))


def _parts(path: str) -> list[str]:
    """Return the parts of a path without those that leave its folder."""
    return [part for part in PurePosixPath(visible(path)).parts if part not in {"..", "/", "//"}]
