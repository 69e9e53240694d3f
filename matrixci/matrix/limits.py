"""Limits of a cell in matrix.yaml."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from matrixci.matrix import validators
from matrixci.matrix.axes import MatrixSection
from matrixci.matrix.mistakes import Mistake, raise_mistakes

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Size = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(
        validators.size,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=validators.SIZE_PATTERN)],
    ),
]


class Limits(MatrixSection):
    """Limits of each cell. Times are seconds. Sizes are bytes, or text such as "6 GiB"."""

    model_config = ConfigDict(title="Limits")

    check_timeout: Seconds = Field(
        default=300, description="Maximum duration of one check, in seconds."
    )
    no_output_timeout: Seconds = Field(
        default=600,
        description="Maximum time that a container may print nothing, in seconds. It prints a line "
        "when a check starts and when it ends, so this cannot be less than `check-timeout`.",
    )
    cell_timeout: Seconds = Field(
        default=1800,
        description="Maximum duration of all checks of a cell together, in seconds. It cannot be "
        "less than `check-timeout`.",
    )
    build_timeout: Seconds = Field(
        default=3600, description="Maximum duration of the build of an image, in seconds."
    )
    memory: Annotated[Size, AfterValidator(validators.memory)] = Field(
        default=6 * 2**30,
        description='Memory of a container, without swap: bytes, or text such as "6 GiB".',
    )
    pids: int = Field(
        default=512, gt=0, description="Maximum number of processes and threads in a container."
    )
    cpus: float = Field(
        default=1, gt=0, allow_inf_nan=False, description="Number of CPUs of a container."
    )
    tmp_size: Size = Field(
        default=2 * 2**30,
        description='Size of `/tmp`, the writable part of a container: bytes, or text such as "2 '
        'GiB". What is stored there counts as memory.',
    )
    reruns: int = Field(
        default=10,
        ge=0,
        description="Maximum number of failed checks in a cell that are rerun once, each alone. A "
        "check that passes then has the outcome `flaky`. If more checks failed, none is rerun.",
    )
    log_size: Size = Field(
        default=10 * 2**20,
        description="Maximum size of the stored output of a container: bytes, or text such as "
        '"10 MiB".',
    )
    result_size: Size = Field(
        default=32 * 2**20,
        description="Maximum size of the result file of a container: bytes, or text such as "
        '"32 MiB". A larger file is rejected.',
    )
    min_free_disk: Size = Field(
        default=10 * 2**30,
        description="Free space that the disk of the container engine must have when a run starts: "
        'bytes, or text such as "10 GiB".',
    )

    @model_validator(mode="after")
    def _timeouts_exceed_check_timeout(self) -> Self:
        for name in ("no_output_timeout", "cell_timeout"):
            seconds: float = getattr(self, name)
            if seconds < self.check_timeout:
                key = name.replace("_", "-")
                message = (
                    f"{key} ({seconds:g} s) is less than check-timeout ({self.check_timeout:g} s); "
                    "write an equal or higher number"
                )
                path = key if name in self.model_fields_set else "check-timeout"
                raise_mistakes("limits", [Mistake(path=(path,), message=message)])
        return self
