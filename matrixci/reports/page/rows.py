"""The rows of a page's data: indexes into tables wherever many cells have the same."""

from typing import NamedTuple


class CheckRow(NamedTuple):
    """A check, wherever it ran."""

    id: str
    claim: str
    reference: str | None
    link: str | None
    command: str
    """what the command of a cell needs beside, to run this check alone"""


class DeviationRow(NamedTuple):
    """A check of a cell that came to something else than passed."""

    place: int
    """among the cell's checks"""
    reason: int
    message: int | None
    detail: int | None
    need: str | None
    warns: int
    """1: it only warns, and doesn't stand against its cell"""


class ChangeRow(NamedTuple):
    """How a cell differs from the baseline's."""

    change: str | None
    before: str | None
    after: str | None
    checks: int
    packages: int
    python: tuple[str, str] | None
    figures: tuple[tuple[str, float | None, float | None], ...]


class CellRow(NamedTuple):
    """A cell: indexes into the page's tables wherever others may have the same."""

    id: str
    axes: tuple[int, ...]
    outcome: str
    reason: str | None
    message: int | None
    detail: int | None
    gpu: bool
    checks: int
    """its checks' ids"""
    outcomes: int
    """a character for each of its checks"""
    seconds: str
    """two characters for each of its checks"""
    deviations: int
    figures: int | None
    note: int
    """where its versions are not those of most cells"""
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
    change: ChangeRow | None
