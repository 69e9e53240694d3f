import math
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matrices import AXES, NAMES, QUICK, a_matrix, matrices
from pydantic import ValidationError

from matrixci.matrix.cells import expand


def test_cells_are_in_the_order_of_the_table() -> None:
    assert [cell.id for cell in expand(a_matrix(AXES))] == [
        "py3.10-numpy1-cpu",
        "py3.10-numpy1-cuda",
        "py3.10-numpy2.x-cpu",
        "py3.10-numpy2.x-cuda",
        "py3.12-numpy1-cpu",
        "py3.12-numpy1-cuda",
        "py3.12-numpy2.x-cpu",
        "py3.12-numpy2.x-cuda",
    ]


def test_a_cell_has_the_python_of_its_value() -> None:
    assert [cell.python for cell in expand(a_matrix(AXES))] == ["3.10"] * 4 + ["3.12"] * 4


@pytest.mark.parametrize(
    ("axis", "value", "id"),
    [
        ("numpy", "1.x", "numpy1.x"),
        ("tensorflow", "absent", "tensorflow-absent"),
        ("n2", "3", "n23"),
        ("attention_kind", "sdpa", "attention_kind-sdpa"),
    ],
)
def test_a_value_has_a_default_id(axis: str, value: str, id: str) -> None:  # noqa: A002
    matrix = a_matrix({"python": {"3.12": None}, axis: {value: {}}})
    assert matrix.value_ids() == {"python": {"3.12": "py3.12"}, axis: {value: id}}
    assert [cell.id for cell in expand(matrix)] == [f"py3.12-{id}"]


def test_a_cell_has_the_settings_of_its_values() -> None:
    matrix = a_matrix(
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


def test_an_include_adds_excluded_combinations_only() -> None:
    matrix = a_matrix(
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


@QUICK
@given(matrices())
def test_each_combination_that_is_not_excluded_is_one_cell(data: dict[str, Any]) -> None:
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

    cells = expand(a_matrix(**data))

    assert len({cell.id for cell in cells}) == len(cells)
    assert len(cells) == math.prod(map(len, data["axes"].values())) - len(out) + len(back)
    assert [cell.axes for cell in cells] == [e for e in every if e not in out or e in back]


def _product(axes: Mapping[str, Mapping[str, None]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [()]
    for values in axes.values():
        rows = [(*row, value) for row in rows for value in values]
    return rows


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
def test_cell_ids_are_valid_and_unique(axes: dict[str, Any]) -> None:
    try:
        matrix = a_matrix({"python": {"3.12": None, "3.13": None}, **axes})
    except ValidationError:
        return  # invalid, which other tests cover
    ids = [cell.id for cell in expand(matrix)]
    assert len(set(ids)) == len(ids) == 2 * math.prod(map(len, axes.values()))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", each) for each in ids)
