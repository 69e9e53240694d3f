"""Row types of the page's data.

A row is written as a JSON array. FIELDS is embedded in the page, so the script reads each row by
field name and the order of the fields is defined here only. Most integers are indexes into the
page's tables, because many cells share the same value.
"""

from typing import Final, NamedTuple


class PageCheck(NamedTuple):
    """A check, in whichever cells it ran."""

    id: str
    claim: str
    reference: str | None
    link: str | None
    command: str
    """appended to a cell's command to run this check alone"""


class PageDeviation(NamedTuple):
    """A check of a cell with an outcome other than passed."""

    place: int
    """position among the cell's checks"""
    reason: int
    message: int | None
    detail: int | None
    need: str | None
    warns: int
    """1 if the failure is only a warning and does not fail the cell"""


class PageChange(NamedTuple):
    """How a cell differs from the same cell of the baseline."""

    change: str | None
    before: str | None
    after: str | None
    checks: int
    packages: int
    python: tuple[str, str] | None
    metrics: tuple[tuple[str, float | None, float | None], ...]


class PageCell(NamedTuple):
    """A cell of the matrix with its result."""

    id: str
    axes: tuple[int, ...]
    outcome: str
    reason: str | None
    message: int | None
    detail: int | None
    gpu: bool
    checks: int
    """index of the list of its checks' ids"""
    outcomes: int
    """index of a string with one character per check"""
    seconds: str
    """two characters per check"""
    deviations: int
    metrics: int | None
    note: int
    """where its versions differ from those of most cells"""
    command: int
    requires: int
    environment: int
    lock: int | None
    log: int | None
    log_file: str | None
    lock_file: str | None
    image: int | None
    attestation: int | None
    steps: tuple[tuple[str, float, float], ...]
    reused_from: str | None
    attempts: int
    sbom_file: str | None
    change: PageChange | None


FIELDS: Final = {
    "cell": PageCell._fields,
    "check": PageCheck._fields,
    "deviation": PageDeviation._fields,
    "change": PageChange._fields,
}
"""Field names of each kind of row, in order."""
