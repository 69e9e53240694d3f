"""Release gates in matrix.yaml: model.ReleaseGates, with names looked up in the axes."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field

from matrixci.matrix.axes import Entry, Rule, as_list
from matrixci.matrix.mistakes import Mistake
from matrixci.model import Enforcement, ReleaseGates
from matrixci.util.text import did_you_mean

_DEFAULT = ReleaseGates()


class Gates(Entry):
    """What a release needs to be ready, beside that every file of the run is whole."""

    require: tuple[Rule, ...] = Field(
        default=_DEFAULT.require,
        description="Rules, axis to value or values: cells that match one must be green; "
        "{} is every cell.",
    )
    new_failures: int = Field(
        default=_DEFAULT.new_failures,
        ge=0,
        description="How many failing checks, neither known nor failing in the baseline, are let "
        "pass; each counts once for each cell.",
    )
    gpu: Enforcement = Field(
        default=_DEFAULT.gpu,
        description="Whether the release needs evidence from a real GPU: required or advisory.",
    )
    bounds: Annotated[
        tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])
    ] = Field(
        default=_DEFAULT.bounds,
        description="Axes whose oldest and newest value must each have a green cell.",
    )
    disappeared_checks: int = Field(
        default=_DEFAULT.disappeared_checks,
        ge=0,
        description="How many checks of the baseline may be gone; each counts once for each cell.",
    )

    def plain(self) -> ReleaseGates:
        """Return the gates as the model's own type, as a run keeps them."""
        return ReleaseGates(**dict(self))


def bounds_mistakes(names: Collection[str], bounds: Sequence[str]) -> Iterator[Mistake]:
    """Yield which of the axes named in gates.bounds the matrix doesn't have."""
    for index, axis in enumerate(bounds):
        if axis not in names:
            message = f'there is no axis "{axis}"; {did_you_mean(axis, names)}'
            yield Mistake(path=("gates", "bounds", index), message=message)
