"""Conditions of a release in matrix.yaml, converted to model.ReleaseGates for a run."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from matrixci.matrix.axes import CellRule, MatrixSection, as_list, unknown_axis
from matrixci.matrix.mistakes import Mistake
from matrixci.model import Enforcement, ReleaseGates

_DEFAULT = ReleaseGates()


class Gates(MatrixSection):
    """Conditions that a release must meet, in addition to complete files of the run."""

    model_config = ConfigDict(title="Gates")

    require: tuple[CellRule, ...] = Field(
        default=_DEFAULT.require,
        description="Rules for cells that must be green: each cell that matches one of the rules. "
        "Default: `[{}]`, every cell.",
    )
    new_failures: int = Field(
        default=_DEFAULT.new_failures,
        ge=0,
        description="Maximum number of new failures: failing checks that are neither a known issue "
        "nor failing in the baseline. A check counts once for each cell.",
    )
    gpu: Enforcement = Field(
        default=_DEFAULT.gpu,
        description="Whether a release needs results from a real GPU: `required`, or `advisory` "
        "to only report what is missing.",
    )
    bounds: Annotated[
        tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(
        default=_DEFAULT.bounds,
        description="Axes whose oldest and newest value must each have a green cell. One axis or "
        "a list.",
    )
    disappeared_checks: int = Field(
        default=_DEFAULT.disappeared_checks,
        ge=0,
        description="Maximum number of checks that are in the baseline but not in the run. A check "
        "counts once for each cell.",
    )

    def to_model(self) -> ReleaseGates:
        """Return the gates as the type that a run stores."""
        return ReleaseGates(**dict(self))


def bounds_mistakes(axes: Collection[str], bounds: Sequence[str]) -> Iterator[Mistake]:
    """Yield a mistake for each axis in gates.bounds that the matrix does not have."""
    for index, axis in enumerate(bounds):
        if axis not in axes:
            yield Mistake(path=("gates", "bounds", index), message=unknown_axis(axis, axes))
