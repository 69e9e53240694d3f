"""All that a report is made from: a judged run, and what of its files a reader wants to see."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matrixci.judged import JudgedRun


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a cell, or a check in a cell, went in earlier runs; the oldest comes first."""

    outcomes: tuple[str, ...]
    figures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A judged run with its texts."""

    judged: JudgedRun
    folder: str
    """where the run's files lie, as the reader is told"""
    locks: Mapping[str, str] = field(default_factory=dict)
    """cell id to the text of its lock"""
    logs: Mapping[str, str] = field(default_factory=dict)
    """cell id to the end of its log, bounded"""
    trends: Mapping[str, Trend] | None = None
    """cell id, or cell id and check id with a tab between; None where no history is given"""
