"""Combinations of axis values that are cells, and the mistakes in them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from matrixci.matrix.axes import AxisNames, AxisValue, is_id, value_id
from matrixci.matrix.mistakes import KEY, Mistake

Axes = Mapping[str, Mapping[str, AxisValue]]
Combination = dict[str, str]
"""Mapping of axis to the name of its value, in the order of the axes."""
CellRules = Sequence[Mapping[str, Sequence[str]]]

_MAX_COMBINATIONS: Final = 4096
_MAX_MATCHES: Final = 1_000_000  # combinations times rules; takes about a second
_MAX_ID: Final = 100  # characters; an image tag has up to 128, a file name up to 255


def matches_rule(rule: Mapping[str, Sequence[str]], combination: Mapping[str, str]) -> bool:
    """Return whether a combination has one of the rule's values on every axis of the rule."""
    return all(combination[axis] in values for axis, values in rule.items())


def product(names: AxisNames) -> Iterator[Combination]:
    """Yield every combination in the order of the table: the last axis changes fastest."""
    for values in itertools.product(*names.values()):
        yield dict(zip(names, values, strict=True))


def remaining_combinations(
    names: AxisNames, exclude: CellRules, include: CellRules
) -> tuple[Combination, ...]:
    """Return the combinations that are not excluded, or included again."""
    return tuple(
        combination
        for combination in product(names)
        if not any(matches_rule(rule, combination) for rule in exclude)
        or any(matches_rule(rule, combination) for rule in include)
    )


def cell_id(axes: Axes, combination: Mapping[str, str]) -> str:
    """Return the cell id of a combination: the ids of its values in the order of the axes."""
    return "-".join(value_id(axis, name, axes[axis][name]) for axis, name in combination.items())


def combination_mistakes(axes: Axes, exclude: CellRules, include: CellRules) -> list[Mistake]:
    """Return the mistakes in the combinations; all names in the rules must be known."""
    total = math.prod(len(values) for values in axes.values())
    if total > _MAX_COMBINATIONS:
        message = f"{total} combinations; remove values until at most {_MAX_COMBINATIONS} remain"
        return [Mistake(path=("axes",), message=message)]
    if total * (len(exclude) + len(include)) > _MAX_MATCHES:
        message = (
            f"{len(exclude)} rules for {total} combinations; write fewer, with lists of values"
        )
        return [Mistake(path=("exclude",), message=message)]
    mistakes = list(_unused_includes(axes, exclude, include))
    cells = remaining_combinations(axes, exclude, include)
    if not cells:
        message = "every combination is excluded; remove a rule"
        mistakes.append(Mistake(path=("exclude",), message=message))
    ids = [*_value_id_mistakes(axes)]
    return [*mistakes, *(ids or _cell_id_mistakes(axes, cells)), *_conflicts(axes, cells)]


def _unused_includes(axes: Axes, exclude: CellRules, include: CellRules) -> Iterator[Mistake]:
    excluded = [one for one in product(axes) if any(matches_rule(rule, one) for rule in exclude)]
    for index, rule in enumerate(include):
        if not any(matches_rule(rule, one) for one in excluded):
            message = "matches no excluded combination, so it has no effect; remove it"
            yield Mistake(path=("include", index), message=message)


def _value_id_mistakes(axes: Axes) -> Iterator[Mistake]:
    for axis, values in axes.items():
        first: dict[str, str] = {}
        for name, value in values.items():
            made = value_id(axis, name, value)
            at = KEY if value.id is None else "id"
            if not is_id(made):
                message = f'its id would be "{made}"; set a valid id of a-z, 0-9, . _ -'
                yield Mistake(path=("axes", axis, name, at), message=message)
            elif made in first:
                message = f'axes.{axis}.{first[made]} has the same id "{made}"; write another one'
                yield Mistake(path=("axes", axis, name, at), message=message)
            first.setdefault(made, name)


def _cell_id_mistakes(axes: Axes, cells: Sequence[Combination]) -> Iterator[Mistake]:
    first: dict[str, Combination] = {}
    for combination in cells:
        made = cell_id(axes, combination)
        if len(made) > _MAX_ID:
            message = f'the cell id "{made}" has over {_MAX_ID} characters; write shorter ids'
            yield Mistake(path=("axes",), message=message)
            return
        if made in first:
            both = f"{_shown(first[made])} and {_shown(combination)}"
            message = f'two combinations have the cell id "{made}": {both}; change an id'
            yield Mistake(path=("axes",), message=message)
        first.setdefault(made, combination)


def _shown(combination: Combination) -> str:
    return " ".join(f"{axis}={name}" for axis, name in combination.items())


def _conflicts(axes: Axes, cells: Sequence[Combination]) -> list[Mistake]:
    """Return a mistake for each setting that two values of one cell set differently."""
    found: dict[Mistake, None] = {}
    for combination in cells:
        first: dict[str, tuple[str, str]] = {}
        for axis, name in combination.items():
            for setting, text in _settings(axes[axis][name]).items():
                before, where = first.setdefault(setting, (text, f"axes.{axis}.{name}"))
                if before != text:
                    message = (
                        f'"{text}" conflicts with "{before}" in {where}; a cell has both values'
                    )
                    path = ("axes", axis, name, *setting.split(":"))
                    found[Mistake(path=path, message=f"{message}, so set only one")] = None
    return list(found)


def _settings(value: AxisValue) -> dict[str, str]:
    settings = {f"environment:{name}": each for name, each in value.environment.items()}
    if value.torch_backend is not None:
        settings["torch-backend"] = value.torch_backend
    if value.base is not None:
        settings["base"] = value.base
    if value.runner is not None:
        settings["runner"] = ", ".join(value.runner)
    return settings
