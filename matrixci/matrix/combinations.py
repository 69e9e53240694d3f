"""Which combinations of axis values a matrix has, and what can be wrong with them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from matrixci.matrix.axes import AxisValue, Names, is_id, value_id
from matrixci.matrix.mistakes import KEY, Mistake

Axes = Mapping[str, Mapping[str, AxisValue]]
Combination = dict[str, str]
"""Axis to the name of its value, in the order of the axes."""
Rules = Sequence[Mapping[str, Sequence[str]]]

_MOST: Final = 4096
_MOST_WORK: Final = 1_000_000  # combinations held against rules: about a second
_LONGEST_ID: Final = 100  # a tag has 128 characters at most, a file name 255: room for more around


def matches(rule: Mapping[str, Sequence[str]], combination: Mapping[str, str]) -> bool:
    """Tell whether a combination has, for every axis of the rule, one of the rule's values."""
    return all(combination[axis] in values for axis, values in rule.items())


def product(names: Names) -> Iterator[Combination]:
    """Yield every combination in the table's order: the last axis changes fastest."""
    for values in itertools.product(*names.values()):
        yield dict(zip(names, values, strict=True))


def kept(names: Names, exclude: Rules, include: Rules) -> tuple[Combination, ...]:
    """Return the combinations that no exclude took, or that an include brought back."""
    return tuple(
        combination
        for combination in product(names)
        if not any(matches(rule, combination) for rule in exclude)
        or any(matches(rule, combination) for rule in include)
    )


def cell_id(axes: Axes, combination: Mapping[str, str]) -> str:
    """Return the id of a combination's cell: the values' ids in the order of the axes."""
    return "-".join(value_id(axis, name, axes[axis][name]) for axis, name in combination.items())


def combination_mistakes(axes: Axes, exclude: Rules, include: Rules) -> list[Mistake]:
    """Return what is wrong with the combinations; every name in the rules must be there."""
    total = math.prod(len(values) for values in axes.values())
    if total > _MOST:
        message = f"{total} combinations; write fewer values, so that there are at most {_MOST}"
        return [Mistake(path=("axes",), message=message)]
    if total * (len(exclude) + len(include)) > _MOST_WORK:
        message = (
            f"{len(exclude)} rules for {total} combinations; write fewer, with lists of values"
        )
        return [Mistake(path=("exclude",), message=message)]
    mistakes = list(_idle_includes(axes, exclude, include))
    cells = kept(axes, exclude, include)
    if not cells:
        message = "every combination is excluded, so the matrix is empty; exclude fewer"
        mistakes.append(Mistake(path=("exclude",), message=message))
    ids = [*_value_id_mistakes(axes)]
    return [*mistakes, *(ids or _cell_id_mistakes(axes, cells)), *_conflicts(axes, cells)]


def _idle_includes(axes: Axes, exclude: Rules, include: Rules) -> Iterator[Mistake]:
    taken = [one for one in product(axes) if any(matches(rule, one) for rule in exclude)]
    for index, rule in enumerate(include):
        if not any(matches(rule, one) for one in taken):
            message = "matches no cell that an exclude took, so it brings nothing back; take it out"
            yield Mistake(path=("include", index), message=message)


def _value_id_mistakes(axes: Axes) -> Iterator[Mistake]:
    for axis, values in axes.items():
        first: dict[str, str] = {}
        for name, value in values.items():
            made = value_id(axis, name, value)
            at = KEY if value.id is None else "id"
            if not is_id(made):
                message = f'its id would be "{made}"; write one of a-z, 0-9, . _ - under it, as id:'
                yield Mistake(path=("axes", axis, name, at), message=message)
            elif made in first:
                message = (
                    f'the id "{made}" is also that of axes.{axis}.{first[made]}; write another'
                )
                yield Mistake(path=("axes", axis, name, at), message=message)
            first.setdefault(made, name)


def _cell_id_mistakes(axes: Axes, cells: Sequence[Combination]) -> Iterator[Mistake]:
    first: dict[str, Combination] = {}
    for combination in cells:
        made = cell_id(axes, combination)
        if len(made) > _LONGEST_ID:
            message = f'the cell id "{made}" is over {_LONGEST_ID} characters; write shorter ids'
            yield Mistake(path=("axes",), message=message)
            return
        if made in first:
            both = f"{_shown(first[made])} and {_shown(combination)}"
            message = f'two combinations give one cell id, "{made}": {both}; write other ids'
            yield Mistake(path=("axes",), message=message)
        first.setdefault(made, combination)


def _shown(combination: Combination) -> str:
    return " ".join(f"{axis}={name}" for axis, name in combination.items())


def _conflicts(axes: Axes, cells: Sequence[Combination]) -> list[Mistake]:
    """Return where two values of one cell set the same thing to different things."""
    found: dict[Mistake, None] = {}
    for combination in cells:
        first: dict[str, tuple[str, str]] = {}
        for axis, name in combination.items():
            for setting, what in _settings(axes[axis][name]).items():
                before, where = first.setdefault(setting, (what, f"axes.{axis}.{name}"))
                if before != what:
                    message = f'"{what}" here, but "{before}" in {where}, and a cell has both'
                    path = ("axes", axis, name, *setting.split(":"))
                    found[Mistake(path=path, message=f"{message}; write one of them")] = None
    return list(found)


def _settings(value: AxisValue) -> dict[str, str]:
    settings = {f"environment:{name}": text for name, text in value.environment.items()}
    if value.torch_backend is not None:
        settings["torch-backend"] = value.torch_backend
    if value.base is not None:
        settings["base"] = value.base
    if value.runner is not None:
        settings["runner"] = ", ".join(value.runner)
    return settings
