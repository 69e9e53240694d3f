"""The trends of a page: earlier outcomes and metrics of cells and checks."""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from matrixci.history.trend import Trend
from matrixci.reports.page.cell_row import finite
from matrixci.reports.page.pool import Pool

MOST_TRENDS: Final = 50_000
_LONGEST_TREND: Final = 60


def trends_document(trends: Mapping[str, Trend] | None) -> dict[str, object]:
    """Return the trends, and the labels of the runs that they refer to by number."""
    runs: Pool[str] = Pool()
    rows = {key: _row(trend, runs) for key, trend in islice((trends or {}).items(), MOST_TRENDS)}
    return {"trends": None if trends is None else rows, "trendRuns": runs.items}


def _row(trend: Trend, runs: Pool[str]) -> tuple[object, ...]:
    """Return a trend's outcomes, its metrics and, where known, the numbers of its runs."""
    outcomes = trend.outcomes[-_LONGEST_TREND:]
    metrics = {
        name: [finite(value) for value in values[-_LONGEST_TREND:]]
        for name, values in trend.metrics.items()
    }
    numbers = [runs.add(label) for label in trend.runs[-_LONGEST_TREND:]]
    return (outcomes, metrics, numbers) if numbers else (outcomes, metrics)
