import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from matrixci.errors import ExitCode, UsageError
from matrixci.matrix.cells import Selection, expand, select
from matrixci.matrix.definition import Matrix
from matrixci.model import Cell

QUICK = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def make(axes: Mapping[str, Any], **more: object) -> Matrix:
    return Matrix.model_validate({"subject": "transformers", "axes": axes, **more})


AXES: dict[str, dict[str, Any]] = {
    "python": {"3.10": None, "3.12": None},
    "numpy": {"1.x": {"id": "numpy1", "requires": "numpy<2"}, "2.x": {"requires": ["numpy>=2"]}},
    "device": {"cpu": {"id": "cpu", "torch-backend": "cpu"}, "cuda": {"id": "cuda", "gpu": True}},
}
TIERS: dict[str, Any] = {
    "ends": [{"python": "3.12", "device": ["cpu"]}, {"python": "3.10", "numpy": "1.x"}],
    "all": [{}],
}
MATRIX = make(AXES, tiers=TIERS)
CELLS = expand(MATRIX)


def chosen(tier: str | None = None, /, **wanted: tuple[str, ...]) -> list[str]:
    globs = wanted.pop("cells", ())
    selection = Selection(axes=wanted, cells=globs, tier=tier)
    return [cell.id for cell in select(CELLS, selection, MATRIX.value_ids(), MATRIX.tiers)]


def refused(tier: str | None = None, /, **wanted: tuple[str, ...]) -> list[str]:
    with pytest.raises(UsageError) as caught:
        chosen(tier, **wanted)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value).splitlines()


def test_cells_come_in_the_order_of_the_table() -> None:
    assert [cell.id for cell in CELLS] == [
        "py3.10-numpy1-cpu",
        "py3.10-numpy1-cuda",
        "py3.10-numpy2.x-cpu",
        "py3.10-numpy2.x-cuda",
        "py3.12-numpy1-cpu",
        "py3.12-numpy1-cuda",
        "py3.12-numpy2.x-cpu",
        "py3.12-numpy2.x-cuda",
    ]


def test_a_cell_knows_its_python() -> None:
    assert [cell.python for cell in CELLS] == ["3.10"] * 4 + ["3.12"] * 4


@pytest.mark.parametrize(
    ("axis", "value", "id"),
    [
        ("numpy", "1.x", "numpy1.x"),
        ("tensorflow", "absent", "tensorflow-absent"),
        ("n2", "3", "n23"),
        ("attention_kind", "sdpa", "attention_kind-sdpa"),
    ],
)
def test_a_value_has_an_id_without_one_written(axis: str, value: str, id: str) -> None:  # noqa: A002
    matrix = make({"python": {"3.12": None}, axis: {value: {}}})
    assert matrix.value_ids() == {"python": {"3.12": "py3.12"}, axis: {value: id}}
    assert [cell.id for cell in expand(matrix)] == [f"py3.12-{id}"]


def test_a_cell_has_what_its_values_bring() -> None:
    matrix = make(
        {
            "python": {"3.12": {"environment": {"A": "python"}}},
            "numpy": {"1.x": {"requires": ["numpy<2", "torch"], "base": "own:{python}"}},
            "device": {"cuda": {"gpu": True, "torch-backend": "cu126"}, "cpu": None},
        },
        requires=["torch", "accelerate"],
        environment={"A": "matrix", "B": "matrix"},
    )
    cuda, cpu = expand(matrix)

    assert cuda.axes == {"python": "3.12", "numpy": "1.x", "device": "cuda"}
    assert list(cuda.axes) == ["python", "numpy", "device"]
    assert cuda.python == "3.12"
    assert cuda.requires == ("torch", "accelerate", "numpy<2")
    assert cuda.environment == {"A": "python", "B": "matrix"}
    assert (cuda.torch_backend, cuda.base, cuda.gpu) == ("cu126", "own:3.12", True)
    assert (cpu.torch_backend, cpu.base, cpu.gpu) == (None, "own:3.12", False)


def test_an_include_brings_back_only_what_an_exclude_took() -> None:
    matrix = make(
        AXES,
        exclude=[{"numpy": "1.x"}, {"device": "cuda", "python": ["3.10", "3.12"]}],
        include=[{"python": "3.12", "numpy": "1.x"}],
    )
    assert [cell.id for cell in expand(matrix)] == [
        "py3.10-numpy2.x-cpu",
        "py3.12-numpy1-cpu",
        "py3.12-numpy1-cuda",
        "py3.12-numpy2.x-cpu",
    ]


NAMES = ["a", "b", "c"]


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw matrix data; rules name only what is there."""
    some = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
    versions = st.lists(st.sampled_from(["3.10", "3.11", "3.12"]), min_size=1, unique=True)
    values = {"python": draw(versions)}
    values |= draw(st.dictionaries(st.sampled_from(["x", "y", "z"]), some))

    def rules() -> list[dict[str, list[str]]]:
        axes = st.lists(st.sampled_from(sorted(values)), min_size=1, unique=True)
        return [
            {axis: draw(st.lists(st.sampled_from(values[axis]), min_size=1)) for axis in draw(axes)}
            for _ in range(draw(st.integers(0, 2)))
        ]

    axes = {axis: dict.fromkeys(names) for axis, names in values.items()}
    return {"axes": axes, "exclude": rules(), "include": rules()}


@QUICK
@given(matrices())
def test_every_combination_is_a_cell_once_unless_it_is_excluded(data: dict[str, Any]) -> None:
    every = [dict(zip(data["axes"], each, strict=True)) for each in _product(data["axes"])]

    def matched(rules: list[dict[str, list[str]]]) -> list[dict[str, str]]:
        return [
            each
            for each in every
            if any(all(each[axis] in rule[axis] for axis in rule) for rule in rules)
        ]

    out = matched(data["exclude"])
    back = [each for each in out if each in matched(data["include"])]
    assume(len(every) > len(out) - len(back))
    data["include"] = [rule for rule in data["include"] if any(e in out for e in matched([rule]))]

    cells = expand(make(**data))

    assert len({cell.id for cell in cells}) == len(cells)
    assert len(cells) == math.prod(map(len, data["axes"].values())) - len(out) + len(back)
    assert [cell.axes for cell in cells] == [e for e in every if e not in out or e in back]


def _product(axes: Mapping[str, Mapping[str, None]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [()]
    for values in axes.values():
        rows = [(*row, value) for row in rows for value in values]
    return rows


def test_no_selection_is_all() -> None:
    assert select(CELLS, Selection()) == CELLS
    assert chosen(numpy=()) == [cell.id for cell in CELLS]


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
def test_a_selection_chooses(wanted: dict[str, tuple[str, ...]], expected: list[str]) -> None:
    assert chosen(**wanted) == expected


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
def test_a_tier_is_chosen_alone_and_with_others(
    tier: str, wanted: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    assert chosen(tier, **wanted) == expected


EVERY = "There is " + ", ".join(cell.id for cell in CELLS) + "."


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"numpy": ("1",)},
            ['numpy: no cell has the value "1". Did you mean "1.x"? There is 1.x, 2.x.'],
        ),
        ({"numpy": ("9",)}, ['numpy: no cell has the value "9". There is 1.x, 2.x.']),
        (
            {"nunpy": ("1.x",)},
            ['There is no axis "nunpy". Did you mean "numpy"? There is python, numpy, device.'],
        ),
        ({"cells": ("*-tpu",)}, [f'No cell matches "*-tpu". {EVERY}']),
        (
            {"cells": ("py3.12-numpy-cpu",)},
            [f'No cell matches "py3.12-numpy-cpu". Did you mean "py3.12-numpy1-cpu"? {EVERY}'],
        ),
        (
            {"numpy": ("1.x",), "python": ("3.12", "3.10"), "cells": ("*2.x*",)},
            [f"No cell is all of this at once: numpy 1.x, python 3.12 or 3.10, *2.x*. {EVERY}"],
        ),
        (
            {"numpy": ("1.x", "3.x"), "device": ("gpu",), "cells": ("*", "none")},
            [
                'numpy: no cell has the value "3.x". Did you mean "2.x"? There is 1.x, 2.x.',
                'device: no cell has the value "gpu". Did you mean "cpu"? There is cpu, cuda.',
                f'No cell matches "none". {EVERY}',
            ],
        ),
    ],
)
def test_what_matches_nothing_is_told_each_by_itself(
    wanted: dict[str, tuple[str, ...]], told: list[str]
) -> None:
    assert refused(**wanted) == told


@pytest.mark.parametrize(
    ("tier", "told"),
    [
        ("end", 'There is no tier "end". Did you mean "ends"? There is ends, all.'),
        ("weekly", 'There is no tier "weekly". There is ends, all.'),
        ("", 'There is no tier "". There is ends, all.'),
    ],
)
def test_a_tier_that_there_is_not_is_told(tier: str, told: str) -> None:
    assert refused(tier) == [told]
    assert refused(tier, numpy=("3.x",))[1:] == [told]


def test_a_tier_and_others_that_leave_nothing_are_told_together() -> None:
    assert refused("ends", python=("3.10",), cells=("*2.x*",)) == [
        f"No cell is all of this at once: python 3.10, *2.x*, tier ends. {EVERY}"
    ]


def test_a_matrix_without_tiers_says_so() -> None:
    with pytest.raises(UsageError, match=r'^There is no tier "all"\. The matrix has no tiers\.$'):
        select(CELLS, Selection(tier="all"))


def test_without_any_cell_there_is_nothing_to_choose() -> None:
    with pytest.raises(UsageError, match="There is no cell at all"):
        select((), Selection())


def test_a_long_list_of_cells_is_cut_short() -> None:
    cells = expand(make({"python": {f"3.{minor}": None for minor in range(10, 40)}}))
    with pytest.raises(UsageError, match=r"py3\.29 and 10 more\.$"):
        select(cells, Selection(cells=("none",)))


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
def test_a_selection_gives_cells_in_order_or_names_what_it_misses(
    axes: dict[str, tuple[str, ...]], globs: tuple[str, ...]
) -> None:
    missing = "none*" in globs or any("none" in words for words in axes.values())
    told, found = "", CELLS
    try:
        found = select(CELLS, Selection(axes=axes, cells=globs))
    except UsageError as error:
        told = str(error)
    assert ("none" in told) == missing
    assert found
    if not told:
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
def test_a_selection_is_a_filter_by_all_of_its_conditions(
    data: dict[str, Any],
    axes: dict[str, tuple[str, ...]],
    globs: tuple[str, ...],
    tier: str | None,
) -> None:
    matrix = make(data["axes"])
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
        found = select(cells, Selection(axes=axes, cells=globs, tier=tier), {}, tiers)

    assert list(found) == ([] if mistaken else expected)


def _has(axis: str, values: Sequence[str], cell: Cell) -> bool:
    return cell.axes.get(axis) in values


VALUES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,4}", fullmatch=True) | st.sampled_from(NAMES),
    st.sampled_from([None, {"id": "a"}, {"id": "b-c"}, {"id": "b"}, {"id": "c-a"}]),
    min_size=1,
    max_size=3,
)


@settings(QUICK, max_examples=300)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_-]{0,3}", fullmatch=True), VALUES, min_size=1, max_size=3
    )
)
def test_the_ids_of_cells_are_safe_and_no_two_are_alike(axes: dict[str, Any]) -> None:
    try:
        matrix = make({"python": {"3.12": None, "3.13": None}, **axes})
    except ValidationError:
        return  # told as a mistake, which has tests of its own
    ids = [cell.id for cell in expand(matrix)]
    assert len(set(ids)) == len(ids) == 2 * math.prod(map(len, axes.values()))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", each) for each in ids)
    again = select(expand(matrix), Selection(cells=tuple(ids)), matrix.value_ids())
    assert [cell.id for cell in again] == ids
