"""Known issues as matrix.yaml has them: model.KnownIssue, with each field judged on its own."""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

from matrixci.matrix import validators as formats
from matrixci.model import KnownIssue

_Filled = Annotated[str, AfterValidator(formats.filled)]


class _Entry(KnownIssue):
    """An expected failure: where it passes all the same, it is reported as fixed."""

    model_config = ConfigDict(title="Known issue")

    check: _Filled = Field(description="Check id, or a glob over check ids.")
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Axis to value or values: the cells where it fails. Left out: every cell.",
    )
    versions: dict[
        Annotated[str, AfterValidator(formats.distribution)],
        Annotated[str, AfterValidator(formats.specifier)],
    ] = Field(
        default_factory=dict,
        description="Package to the versions where it fails, such as <5.2. Left out: every one.",
    )
    reference: _Filled = Field(description="Where it is told, such as owner/name#123.")
    reason: _Filled = Field(description="Why it fails, in a sentence.")
    expires: date = Field(description="The day from which on it is expected no more (YYYY-MM-DD).")


def _schema(_source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
    return core_schema.no_info_after_validator_function(_plain, handler(_Entry))


def _plain(entry: KnownIssue) -> KnownIssue:
    """Return the issue as the model's own type, which alone equals one that a run was read from."""
    return KnownIssue(**dict(entry))


KnownIssueEntry = Annotated[KnownIssue, GetPydanticSchema(_schema)]
