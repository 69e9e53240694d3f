"""Small matrices for tests, and a hypothesis strategy for valid ones."""

from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from matrixci.matrix.definition import Matrix

QUICK = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def a_matrix(axes: Mapping[str, Any], **more: object) -> Matrix:
    """Return a matrix with these axes and further keys."""
    return Matrix.model_validate({"subject": "transformers", "axes": axes, **more})


AXES: dict[str, dict[str, Any]] = {
    "python": {"3.10": None, "3.12": None},
    "numpy": {"1.x": {"id": "numpy1", "requires": "numpy<2"}, "2.x": {"requires": ["numpy>=2"]}},
    "device": {"cpu": {"id": "cpu", "torch-backend": "cpu"}, "cuda": {"id": "cuda", "gpu": True}},
}
NAMES = ["a", "b", "c"]


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw axes, exclude and include; the rules name only existing axes and values."""
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
