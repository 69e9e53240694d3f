"""A judged run: all data that reports show.

It is the contract between judgement and reports, and it is published as the JSON report.
"""

from enum import StrEnum
from functools import cached_property
from typing import Final

from pydantic import AwareDatetime, Field

from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    Frozen,
    Reason,
    Run,
)
from matrixci.outcomes import failing_checks, warning_checks

REPORT_VERSION: Final = 1


class Verdict(StrEnum):
    """Whether the release may be made."""

    READY = "READY"
    NOT_READY = "NOT READY"


class GateOutcome(StrEnum):
    """The outcome of a gate."""

    MET = "met"
    UNMET = "unmet"
    UNVERIFIED = "unverified"
    """The evidence is missing: cells were not selected, no GPU, no baseline."""


class Gate(Frozen):
    """One condition for a release, with its evidence."""

    name: str = Field(
        description="key in the section `gates` of matrix.yaml, or a built-in gate's name"
    )
    asks: str = Field(description="the condition, as a sentence")
    outcome: GateOutcome
    required: bool = Field(description="False: advisory, never blocks the release")
    evidence: tuple[str, ...] = Field(description="the evidence, one line per entry")


class Change(StrEnum):
    """How a check or a cell changed since the baseline."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    NEWLY_UNSATISFIABLE = "newly unsatisfiable"
    NEWLY_SATISFIABLE = "newly satisfiable"
    OTHER = "other"
    """Another outcome that is neither better nor worse, such as failed to crashed."""


class CheckChange(Frozen):
    """A check whose outcome changed since the baseline."""

    check: str
    change: Change
    before: CheckOutcome | None = Field(
        description="outcome in the baseline; None: the check was not there"
    )
    after: CheckOutcome | None = Field(
        description="outcome in this run; None: the check is not there"
    )


class PackageChange(Frozen):
    """A package that has different versions in two locks."""

    name: str
    before: str | None = Field(description="version in the earlier lock; None: not in that lock")
    after: str | None = Field(description="version in the later lock; None: not in that lock")


class CellChange(Frozen):
    """How a cell differs from the same cell of the baseline."""

    cell: str
    change: Change | None = Field(description="None: the outcome is the same")
    before: CellOutcome | None
    after: CellOutcome | None
    checks: tuple[CheckChange, ...] = ()
    packages: tuple[PackageChange, ...] = ()
    python: tuple[str, str] | None = Field(
        default=None, description="Python X.Y.Z before and after, if they differ"
    )
    metrics: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="metrics that changed notably: `CHECK: NAME` to the values before and after",
    )


class Comparison(Frozen):
    """The differences between two runs. Cells without a difference are left out."""

    before: str = Field(description="id of the baseline")
    before_began: AwareDatetime
    before_day: str = Field(description='day of the run, or of the package index as "as of DAY"')
    before_subject: str = Field(
        description="subject of the baseline, with the versions that its cells had"
    )
    before_commit: str | None
    before_verdict: Verdict
    cells: tuple[CellChange, ...]
    not_compared: tuple[str, ...] = Field(
        default=(), description="ids of cells that were selected in only one of the runs"
    )

    @cached_property
    def _by_id(self) -> dict[str, CellChange]:
        return {one.cell: one for one in self.cells}

    def cell(self, cell_id: str) -> CellChange | None:
        """Return how a cell differs, or None if it does not."""
        return self._by_id.get(cell_id)


class JudgedCell(Frozen):
    """A cell after judgement."""

    cell: Cell
    outcome: CellOutcome
    reason: Reason | None
    message: str
    checks: tuple[CheckResult, ...]
    result: CellResult | None = Field(
        description="the stored result without its checks; None: the cell has no result"
    )
    reproduce: tuple[str, ...] = Field(
        default=(), description="arguments of the command that runs the cell again"
    )

    def count(self, *outcomes: CheckOutcome) -> int:
        """Return the number of checks with one of these outcomes."""
        return sum([check.outcome in outcomes for check in self.checks])

    @cached_property
    def failing(self) -> tuple[CheckResult, ...]:
        """The checks that keep the cell from being green."""
        return tuple(failing_checks(self.checks))

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The failing checks that ran. The cell's own outcome explains missing checks."""
        return tuple(c for c in self.failing if c.outcome is not CheckOutcome.MISSING)

    @cached_property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The failed checks that only warn."""
        return tuple(warning_checks(self.checks))

    @property
    def unmet(self) -> tuple[CheckResult, ...]:
        """The checks that were skipped because the machine lacks what they need."""
        return tuple([check for check in self.checks if check.need is not None])


class KnownFailure(Frozen):
    """A known issue, expired or not, that matches failing checks of this run."""

    check: str
    reference: str
    reason: str
    expires: str = Field(description="day on which the known issue expires; ISO 8601")
    days_left: int = Field(
        description="days until it expires; 0 or less: expired, so its failures count"
    )
    checks: tuple[str, ...] = Field(description="ids of the failing checks that it matches")
    cells: tuple[str, ...] = Field(description="ids of the cells in which they fail")

    @property
    def expired(self) -> bool:
        """Whether the known issue has expired, so that its failures count."""
        return self.days_left <= 0


class ExpectedFailure(Frozen):
    """Failing checks that the suite itself marks with xfail, grouped by reason."""

    reason: str
    checks: tuple[str, ...]
    cells: tuple[str, ...]


class Blocker(Frozen):
    """One reason why a release is not ready, with its details."""

    text: str = Field(description="the reason in one line, as in `reasons`")
    check: str | None = Field(
        default=None, description="id of the failing check; None: the blocker is not a check"
    )
    claim: str = ""
    outcome: CheckOutcome | None = None
    instances: int = Field(
        default=1,
        description="number of parametrized instances of the check that fail in the same cells",
    )
    message: str = Field(default="", description="message of the check in the first of the cells")
    note: str = Field(default="", description="the expired known issue that matches the failure")
    cells: tuple[str, ...] = Field(default=(), description="ids of the affected cells")


class JudgedRun(Frozen):
    """A run after judgement: everything a report is made from."""

    report_version: int = REPORT_VERSION
    run: Run
    cells: tuple[JudgedCell, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = Field(
        description="why the release is not ready, one line per reason"
    )
    blockers: tuple[Blocker, ...] = Field(
        default=(), description="the same reasons with details; empty in reports of older versions"
    )
    remarks: tuple[str, ...] = Field(
        description="what a reader should know in addition to the verdict"
    )
    gates: tuple[Gate, ...] = ()
    unverified: tuple[str, ...] = Field(
        default=(), description="what the run did not verify: no GPU, cells not selected, ..."
    )
    known: tuple[KnownFailure, ...] = ()
    expected: tuple[ExpectedFailure, ...] = ()
    comparison: Comparison | None = Field(
        default=None, description="comparison with the baseline; None: no baseline"
    )
