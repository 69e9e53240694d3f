"""How a cell or a check went from run to run: what a report draws as a small line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SEPARATOR: Final = "\t"


@dataclass(frozen=True, kw_only=True)
class Trend:
    """What a cell or a check came to, run by run, oldest first."""

    outcomes: tuple[str, ...]
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Name to the values that were recorded, oldest first; runs without one are left out."""
    runs: tuple[str, ...] = field(default=(), compare=False)
    """What names the run of each outcome: its day, the subject's version and its id."""


def trend_key(cell_id: str, check_id: str | None = None) -> str:
    """Return the key of a cell's trend, or of one of its checks, in a mapping of trends."""
    return cell_id if check_id is None else f"{cell_id}{_SEPARATOR}{check_id}"
