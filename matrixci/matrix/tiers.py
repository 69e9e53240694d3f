"""The tiers of a matrix: named parts of it, such as what each pull request runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from matrixci.matrix.axes import ID_PATTERN, Rule, is_id
from matrixci.matrix.mistakes import KEY, Mistake

Tiers = dict[str, tuple[Rule, ...]]
"""The name of a tier to its rules: a cell that matches one of them is in it."""

TIERS_SCHEMA: Final[dict[str, JsonValue]] = {"propertyNames": {"pattern": ID_PATTERN}}


def tier_mistakes(tiers: Mapping[str, Sequence[object]]) -> Iterator[Mistake]:
    """Yield what is wrong with the tiers as such; their rules are looked into apart."""
    for name, rules in tiers.items():
        if not is_id(name):
            message = "not the name of a tier; write a-z and 0-9 first, then those and . _ -"
            yield Mistake(path=("tiers", name, KEY), message=message)
        if not rules:
            message = "this tier has no rules; write [{}] for every cell, or take it out"
            yield Mistake(path=("tiers", name, KEY), message=message)
