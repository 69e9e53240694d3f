"""A judged run: the data that every report shows, and nothing else is needed to make one.

It is the contract between the judgement and the reports, and the published JSON report itself.
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
    """May the release be made?"""

    READY = "READY"
    NOT_READY = "NOT READY"


class GateOutcome(StrEnum):
    """What a condition of the release came to."""

    MET = "met"
    UNMET = "unmet"
    UNVERIFIED = "unverified"
    """What it asks for was not looked at: cells left out, no GPU, no baseline."""


class Gate(Frozen):
    """One condition of the release, with its evidence."""

    name: str = Field(description="its key in the matrix's gates")
    asks: str = Field(description="the condition, as a sentence")
    outcome: GateOutcome
    required: bool = Field(description="False: told, and not held against the release")
    evidence: tuple[str, ...] = Field(description="what it was judged by, a line each")


class Change(StrEnum):
    """What became of a check or a cell since the baseline."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    APPEARED = "appeared"
    DISAPPEARED = "disappeared"
    NEWLY_UNSATISFIABLE = "newly unsatisfiable"
    NEWLY_SATISFIABLE = "newly satisfiable"
    OTHER = "other"
    """Another outcome, neither better nor worse: passed to skipped, failed to crashed."""


class CheckChange(Frozen):
    """A check that isn't what it was; what stayed the same is left out."""

    check: str
    change: Change
    before: CheckOutcome | None = Field(description="None: it was not there")
    after: CheckOutcome | None = Field(description="None: it is not there")


class PackageChange(Frozen):
    """A package of which a cell's two locks have different versions."""

    name: str
    before: str | None = Field(description="None: it was not in the lock")
    after: str | None = Field(description="None: it is not in the lock")


class CellChange(Frozen):
    """How a cell differs from the baseline's."""

    cell: str
    change: Change | None = Field(description="None: it comes to the same")
    before: CellOutcome | None
    after: CellOutcome | None
    checks: tuple[CheckChange, ...] = ()
    packages: tuple[PackageChange, ...] = ()
    python: tuple[str, str] | None = Field(
        default=None, description="X.Y.Z before and after, where they differ"
    )
    metrics: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="metrics that changed notably, as check: name"
    )


class Comparison(Frozen):
    """The difference of two runs, cell by cell; cells without any are left out."""

    before: str = Field(description="id of the baseline")
    before_began: AwareDatetime
    before_day: str = Field(description="the day it stands for: of the index, or of the run")
    before_subject: str = Field(description="its subject with the version that most cells had")
    before_commit: str | None
    before_verdict: Verdict
    cells: tuple[CellChange, ...]
    not_compared: tuple[str, ...] = Field(
        default=(), description="cells that only one of the two runs was asked for"
    )

    @cached_property
    def _by_id(self) -> dict[str, CellChange]:
        return {one.cell: one for one in self.cells}

    def cell(self, cell_id: str) -> CellChange | None:
        """Return how a cell differs, None where it doesn't."""
        return self._by_id.get(cell_id)


class JudgedCell(Frozen):
    """A cell after judgement."""

    cell: Cell
    outcome: CellOutcome
    reason: Reason | None
    message: str
    checks: tuple[CheckResult, ...]
    result: CellResult | None = Field(
        description="as stored, its checks left out; None where the cell never reported"
    )
    reproduce: tuple[str, ...] = Field(default=(), description="argv that runs the cell again")

    def count(self, *outcomes: CheckOutcome) -> int:
        """Count the checks that came to one of these."""
        return sum([check.outcome in outcomes for check in self.checks])

    @cached_property
    def failing(self) -> tuple[CheckResult, ...]:
        """The checks that keep the cell from being green."""
        return tuple(failing_checks(self.checks))

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Those of the failing checks that ran; why others are missing is the cell's to say."""
        return tuple(c for c in self.failing if c.outcome is not CheckOutcome.MISSING)

    @cached_property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The checks that failed and only warn."""
        return tuple(warning_checks(self.checks))

    @property
    def unmet(self) -> tuple[CheckResult, ...]:
        """The checks that need what this machine lacks."""
        return tuple([check for check in self.checks if check.need is not None])


class KnownFailure(Frozen):
    """A known issue that names failing checks of this run, expired or not."""

    check: str
    reference: str
    reason: str
    expires: str = Field(description="day, ISO 8601")
    days_left: int = Field(description="0 or less: it expired, and excuses nothing")
    checks: tuple[str, ...] = Field(description="the failing checks that it names")
    cells: tuple[str, ...] = Field(description="the cells in which they fail")

    @property
    def expired(self) -> bool:
        """Whether it excuses nothing any more."""
        return self.days_left <= 0


class ExpectedFailure(Frozen):
    """Checks that fail as the user's suite itself expects, by xfail."""

    reason: str
    checks: tuple[str, ...]
    cells: tuple[str, ...]


class Blocker(Frozen):
    """One thing that stands against the release, with what there is to say about it."""

    text: str = Field(description="all of it in one line, as in reasons")
    check: str | None = Field(default=None, description="id of the check; None: it is not a check")
    claim: str = ""
    outcome: CheckOutcome | None = None
    instances: int = Field(default=1, description="how many instances of the check fail alike")
    message: str = Field(default="", description="what the check says in the first of the cells")
    note: str = Field(default="", description="the known issue that expired")
    cells: tuple[str, ...] = Field(default=(), description="ids of the cells it is about")


class JudgedRun(Frozen):
    """A run after judgement: all that a report is made from."""

    report_version: int = REPORT_VERSION
    run: Run
    cells: tuple[JudgedCell, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = Field(description="why it is not ready, each in a line")
    blockers: tuple[Blocker, ...] = Field(
        default=(), description="the same reasons with their parts; empty in older reports"
    )
    remarks: tuple[str, ...] = Field(description="what a reader must know beside")
    gates: tuple[Gate, ...] = ()
    unverified: tuple[str, ...] = Field(
        default=(), description="what no evidence speaks of: no GPU here, cells left out"
    )
    known: tuple[KnownFailure, ...] = ()
    expected: tuple[ExpectedFailure, ...] = ()
    comparison: Comparison | None = Field(default=None, description="with the baseline")
