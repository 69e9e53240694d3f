"""Known issues in matrix.yaml: model.KnownIssue with a validator for each field."""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

from matrixci.matrix import validators
from matrixci.model import KnownIssue

_NonEmpty = Annotated[str, AfterValidator(validators.non_empty)]


class _KnownIssue(KnownIssue):
    """An expected failure. A matching check that passes has the outcome unexpected-pass."""

    model_config = ConfigDict(title="Known issue")

    check: _NonEmpty = Field(
        description="Id of the check, or a glob over check ids, such as `test_errors.py::*`."
    )
    where: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Cells in which the check fails, as a rule of axes and values. Default: every "
        "cell.",
    )
    versions: dict[
        Annotated[str, AfterValidator(validators.distribution)],
        Annotated[str, AfterValidator(validators.specifier)],
    ] = Field(
        default_factory=dict,
        description="Package versions with which the check fails: package names, each with a "
        "version specifier such as `<5.2`. Default: every version.",
    )
    reference: _NonEmpty = Field(
        description="Issue or other place that describes the failure, such as `owner/name#123`."
    )
    reason: _NonEmpty = Field(description="Cause of the failure, in one sentence.")
    expires: date = Field(
        description="First day on which the failure is no longer expected, as YYYY-MM-DD."
    )


def _schema(_source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
    return core_schema.no_info_after_validator_function(_to_model, handler(_KnownIssue))


def _to_model(issue: KnownIssue) -> KnownIssue:
    """Return the issue as the exact type that a run stores, so that both compare equal."""
    return KnownIssue(**dict(issue))


KnownIssueEntry = Annotated[KnownIssue, GetPydanticSchema(_schema)]
