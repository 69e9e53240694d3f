"""Where a finding belongs in a repository: the file and line that SARIF and annotations name."""

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
    """A place in a file."""

    path: str
    """relative, with slashes; the folder it starts from is the run's working directory"""
    line: int | None = None
    """from 1; None: not known"""
    known: bool = True
    """whether the file is known to be in the user's repository"""

    @property
    def words(self) -> str:
        """The place as compilers print it."""
        return self.path if self.line is None else f"{self.path}:{self.line}"


def check_location(run: Run, check: CheckResult) -> Location:
    """Return where a check is."""
    folder = _folder_of_checks(run)
    return Location(
        path=str(PurePosixPath(folder or _CHECKS, *_parts(check.id.partition("::")[0]))),
        line=check.line,
        known=folder is not None,
    )


def matrix_location(run: Run) -> Location:
    """Return where the matrix is, for what no check is to blame for."""
    named = _within(given(run.command, "--matrix") or _MATRIX)
    return Location(path=str(named or _MATRIX), known=named is not None)


def cell_location(run: Run, cell: JudgedCell) -> Location:
    """Return the check that was under way when a cell ended, or else the matrix."""
    under_way = (c for c in cell.checks if c.outcome is CheckOutcome.MISSING and c.began)
    check = next(under_way, None)
    return matrix_location(run) if check is None else check_location(run, check)


def _folder_of_checks(run: Run) -> PurePosixPath | None:
    """Return the folder of checks in the user's repository; None if it is not known to be in it."""
    named = run.setup.checks if run.setup else None
    if named is None:  # built in: part of a checkout of matrixci, and of no other repository
        return _CHECKS if run.commit is not None else None
    return _within(named)


def _within(path: str) -> PurePosixPath | None:
    parts = PurePosixPath(path)
    return None if parts.is_absolute() or ".." in parts.parts else PurePosixPath(visible(path))


def _parts(path: str) -> list[str]:
    """Return the parts of a path, without those that would leave its folder."""
    return [part for part in PurePosixPath(visible(path)).parts if part not in {"..", "/", "//"}]
