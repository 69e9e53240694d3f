"""Tiers: named parts of a matrix, such as the cells that each pull request runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from matrixci.matrix.axes import ID_PATTERN, CellRule, is_id
from matrixci.matrix.mistakes import KEY, Mistake

Tiers = dict[str, tuple[CellRule, ...]]
"""Mapping of tier name to its rules; a cell that matches one of them is in the tier."""

TIERS_SCHEMA: Final[dict[str, JsonValue]] = {"propertyNames": {"pattern": ID_PATTERN}}


def tier_mistakes(tiers: Mapping[str, Sequence[object]]) -> Iterator[Mistake]:
    """Yield the mistakes in the tiers, except those in single rules."""
    for name, rules in tiers.items():
        if not is_id(name):
            message = "invalid tier name; start with a-z or 0-9, then use those and . _ -"
            yield Mistake(path=("tiers", name, KEY), message=message)
        if not rules:
            message = "this tier has no rules; write [{}] for every cell, or remove the tier"
            yield Mistake(path=("tiers", name, KEY), message=message)
