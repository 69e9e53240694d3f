import pytest

from matrixci.github.runners import runner_of
from matrixci.matrix.cells import expand
from matrixci.matrix.definition import Matrix

MATRIX = Matrix.model_validate(
    {
        "subject": "transformers",
        "axes": {
            "python": {"3.12": None, "3.13": {"runner": ["self-hosted", "new"]}},
            "device": {"cpu": None, "cuda": {"gpu": True}},
        },
        "runner": "plain",
    }
)
NEW = ("self-hosted", "new")


@pytest.mark.parametrize(
    ("gpu_runner", "expected"),
    [
        (None, [("plain",), ("plain",), NEW, NEW]),
        ("", [("plain",), ("plain",), NEW, NEW]),
        (" , ", [("plain",), ("plain",), NEW, NEW]),
        ("a10", [("plain",), ("a10",), NEW, ("a10",)]),
        (" self-hosted, gpu,,gpu ", [("plain",), ("self-hosted", "gpu"), NEW]),
    ],
)
def test_a_cell_has_a_runner(gpu_runner: str | None, expected: list[tuple[str, ...]]) -> None:
    found = [runner_of(MATRIX, cell, gpu_runner) for cell in expand(MATRIX)]
    assert found[: len(expected)] == expected


def test_default_runner_is_used_if_none_is_named() -> None:
    matrix = Matrix.model_validate({"subject": "a", "axes": {"python": {"3.12": None}}})
    assert [runner_of(matrix, cell, "a10") for cell in expand(matrix)] == [("ubuntu-24.04",)]
