from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrices import AXES, NAMES, QUICK, a_matrix, matrices

from matrixci.errors import ExitCode, UsageError
from matrixci.matrix.cells import expand
from matrixci.matrix.selection import Selection, filter_cells
from matrixci.model import Cell

TIERS: dict[str, Any] = {
    "ends": [{"python": "3.12", "device": ["cpu"]}, {"python": "3.10", "numpy": "1.x"}],
    "all": [{}],
}
MATRIX = a_matrix(AXES, tiers=TIERS)
CELLS = expand(MATRIX)


def selected(tier: str | None = None, /, **wanted: tuple[str, ...]) -> list[str]:
    globs = wanted.pop("cells", ())
    selection = Selection(axes=wanted, cells=globs, tier=tier)
    return [cell.id for cell in filter_cells(CELLS, selection, MATRIX.value_ids(), MATRIX.tiers)]


def rejected(tier: str | None = None, /, **wanted: tuple[str, ...]) -> list[str]:
    with pytest.raises(UsageError) as caught:
        selected(tier, **wanted)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value).splitlines()


def test_an_empty_selection_selects_all_cells() -> None:
    assert filter_cells(CELLS, Selection()) == CELLS
    assert selected(numpy=()) == [cell.id for cell in CELLS]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"numpy": ("1.x",), "device": ("cpu",)}, ["py3.10-numpy1-cpu", "py3.12-numpy1-cpu"]),
        ({"numpy": ("numpy1",), "device": ("cpu",)}, ["py3.10-numpy1-cpu", "py3.12-numpy1-cpu"]),
        (
            {"python": ("py3.12",), "cells": ("*numpy1-c*",)},
            ["py3.12-numpy1-cpu", "py3.12-numpy1-cuda"],
        ),
        (
            {"cells": ("py3.12-numpy1-cuda", "*3.10*1-cpu")},
            ["py3.10-numpy1-cpu", "py3.12-numpy1-cuda"],
        ),
        ({"cells": ("py3.1[!0]-*1-cp?",)}, ["py3.12-numpy1-cpu"]),
        (
            {"python": ("3.10", "3.12"), "numpy": ("2.x",), "device": ("cuda",)},
            ["py3.10-numpy2.x-cuda", "py3.12-numpy2.x-cuda"],
        ),
    ],
)
def test_a_selection_by_axes_and_globs(
    wanted: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    assert selected(**wanted) == expected


@pytest.mark.parametrize(
    ("tier", "wanted", "expected"),
    [
        (
            "ends",
            {},
            ["py3.10-numpy1-cpu", "py3.10-numpy1-cuda", "py3.12-numpy1-cpu", "py3.12-numpy2.x-cpu"],
        ),
        ("ends", {"numpy": ("2.x",)}, ["py3.12-numpy2.x-cpu"]),
        ("ends", {"cells": ("*-cuda",)}, ["py3.10-numpy1-cuda"]),
        (
            "ends",
            {"device": ("cpu",), "cells": ("*numpy1*",)},
            ["py3.10-numpy1-cpu", "py3.12-numpy1-cpu"],
        ),
        ("all", {}, [cell.id for cell in CELLS]),
    ],
)
def test_a_selection_by_tier_axes_and_globs(
    tier: str, wanted: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    assert selected(tier, **wanted) == expected


EVERY = "Available cells: " + ", ".join(cell.id for cell in CELLS) + "."


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        (
            {"numpy": ("1",)},
            ['Unknown value "1" of the axis numpy. Did you mean "1.x"? Values: 1.x, 2.x.'],
        ),
        ({"numpy": ("9",)}, ['Unknown value "9" of the axis numpy. Values: 1.x, 2.x.']),
        (
            {"nunpy": ("1.x",)},
            ['Unknown axis "nunpy". Did you mean "numpy"? Axes: python, numpy, device.'],
        ),
        ({"cells": ("*-tpu",)}, [f'No cell matches "*-tpu". {EVERY}']),
        (
            {"cells": ("py3.12-numpy-cpu",)},
            [f'No cell matches "py3.12-numpy-cpu". Did you mean "py3.12-numpy1-cpu"? {EVERY}'],
        ),
        (
            {"numpy": ("1.x",), "python": ("3.12", "3.10"), "cells": ("*2.x*",)},
            [f'No cell matches numpy=1.x and python=3.12 or 3.10 and "*2.x*". {EVERY}'],
        ),
        (
            {"numpy": ("1.x", "3.x"), "device": ("gpu",), "cells": ("*", "none")},
            [
                'Unknown value "3.x" of the axis numpy. Did you mean "2.x"? Values: 1.x, 2.x.',
                'Unknown value "gpu" of the axis device. Did you mean "cpu"? Values: cpu, cuda.',
                f'No cell matches "none". {EVERY}',
            ],
        ),
    ],
)
def test_each_unknown_name_is_reported(
    wanted: dict[str, tuple[str, ...]], messages: list[str]
) -> None:
    assert rejected(**wanted) == messages


@pytest.mark.parametrize(
    ("tier", "message"),
    [
        ("end", 'Unknown tier "end". Did you mean "ends"? Tiers: ends, all.'),
        ("weekly", 'Unknown tier "weekly". Tiers: ends, all.'),
        ("", 'Unknown tier "". Tiers: ends, all.'),
    ],
)
def test_an_unknown_tier_is_reported(tier: str, message: str) -> None:
    assert rejected(tier) == [message]
    assert rejected(tier, numpy=("3.x",))[1:] == [message]


def test_an_empty_result_is_reported_with_all_conditions() -> None:
    assert rejected("ends", python=("3.10",), cells=("*2.x*",)) == [
        f'No cell matches python=3.10 and "*2.x*" and tier ends. {EVERY}'
    ]


def test_a_matrix_without_tiers_is_reported() -> None:
    with pytest.raises(UsageError, match=r'^Unknown tier "all"\. The matrix has no tiers\.$'):
        filter_cells(CELLS, Selection(tier="all"))


def test_a_matrix_without_cells_is_reported() -> None:
    with pytest.raises(UsageError, match="The matrix has no cells"):
        filter_cells((), Selection())


def test_a_long_list_of_cells_is_shortened() -> None:
    cells = expand(a_matrix({"python": {f"3.{minor}": None for minor in range(10, 40)}}))
    with pytest.raises(UsageError, match=r"py3\.29 and 10 more\.$"):
        filter_cells(cells, Selection(cells=("none",)))


@QUICK
@given(
    st.fixed_dictionaries(
        {},
        optional={
            axis: st.lists(st.sampled_from(["none", *values]), max_size=2).map(tuple)
            for axis, values in AXES.items()
        },
    ),
    st.lists(st.sampled_from(["*", "py3.12*", "*cpu", "none*"]), max_size=2).map(tuple),
)
def test_selected_cells_keep_their_order_and_unknown_names_are_reported(
    axes: dict[str, tuple[str, ...]], globs: tuple[str, ...]
) -> None:
    missing = "none*" in globs or any("none" in words for words in axes.values())
    message, found = "", CELLS
    try:
        found = filter_cells(CELLS, Selection(axes=axes, cells=globs))
    except UsageError as error:
        message = str(error)
    assert ("none" in message) == missing
    assert found
    if not message:
        assert list(found) == [cell for cell in CELLS if cell in found]
        assert all(
            cell.axes[axis] in words for cell in found for axis, words in axes.items() if words
        )


WANTED = st.lists(st.sampled_from([*NAMES, "3.10", "3.11", "3.12", "none"]), max_size=2).map(tuple)
GLOBS = st.lists(
    st.sampled_from(["*", "py3.10*", "*-x-a*", "*b", "*[ab]-?-c", "none*", "py3.1[12]*"]),
    max_size=2,
).map(tuple)


@settings(QUICK, max_examples=300)
@given(
    matrices(),
    st.dictionaries(st.sampled_from(["python", "x", "y", "none"]), WANTED, max_size=2),
    GLOBS,
    st.sampled_from([None, "some", "all", "none"]),
)
def test_a_selected_cell_meets_all_conditions(
    data: dict[str, Any],
    axes: dict[str, tuple[str, ...]],
    globs: tuple[str, ...],
    tier: str | None,
) -> None:
    matrix = a_matrix(data["axes"])
    cells = expand(matrix)
    tiers = {"some": data["include"], "all": [{}]}
    conditions: list[Callable[[Cell], bool]] = [
        *(partial(_has, axis, words) for axis, words in axes.items() if words),
        lambda cell: not globs or any(fnmatchcase(cell.id, glob) for glob in globs),
        lambda cell: tier is None or any(
            all(_has(axis, values, cell) for axis, values in rule.items())
            for rule in tiers.get(tier, [])
        ),
    ]  # fmt: skip
    expected = [cell for cell in cells if all(holds(cell) for holds in conditions)]
    mistaken = (
        not set(axes) <= set(data["axes"])
        or any(set(words) - set(data["axes"][axis]) for axis, words in axes.items())
        or any(not any(fnmatchcase(cell.id, glob) for cell in cells) for glob in globs)
        or tier == "none"
    )

    found: Sequence[Cell] = ()
    with suppress(UsageError):
        found = filter_cells(cells, Selection(axes=axes, cells=globs, tier=tier), {}, tiers)

    assert list(found) == ([] if mistaken else expected)


def _has(axis: str, values: Sequence[str], cell: Cell) -> bool:
    return cell.axes.get(axis) in values
