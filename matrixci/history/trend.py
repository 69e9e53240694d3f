"""The trend of a cell or a check over runs, drawn as a small line in reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SEPARATOR: Final = "\t"


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The outcomes of a cell or a check, run by run, oldest first."""

    outcomes: tuple[str, ...]
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Name to recorded values, oldest first. Runs without a value are skipped."""
    runs: tuple[str, ...] = field(default=(), compare=False)
    """Label of the run of each outcome: its day, the subject's version and its id."""


def trend_key(cell_id: str, check_id: str | None = None) -> str:
    """Return the key of a cell or of one of its checks in a mapping of trends."""
    return cell_id if check_id is None else f"{cell_id}{_SEPARATOR}{check_id}"
