"""Data model of matrix.yaml. Every Matrix instance is valid."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from matrixci.errors import SubjectError
from matrixci.matrix import validators
from matrixci.matrix.axes import (
    AXIS_PATTERN,
    PYTHON,
    RESERVED,
    VERSION_PATTERN,
    AxisValue,
    CellRule,
    Environment,
    Labels,
    MatrixSection,
    Requirements,
    as_values,
    axis_mistakes,
    empty_rule_mistakes,
    rule_mistakes,
    value_id,
)
from matrixci.matrix.combinations import (
    Combination,
    combination_mistakes,
    matches_rule,
    remaining_combinations,
)
from matrixci.matrix.gates import Gates, bounds_mistakes
from matrixci.matrix.known_issues import KnownIssueEntry
from matrixci.matrix.limits import Limits
from matrixci.matrix.mistakes import KeyPath, Mistake, raise_mistakes
from matrixci.matrix.subject_kind import subject_kind
from matrixci.matrix.tiers import TIERS_SCHEMA, Tiers, tier_mistakes


def _subject(text: str) -> str:
    try:
        subject_kind(text)
    except SubjectError as error:
        raise ValueError(str(error)) from error
    return text.strip()


def _empty_mapping_if_none(value: object) -> object:
    return {} if value is None else value


Value = Annotated[
    AxisValue, BeforeValidator(_empty_mapping_if_none, json_schema_input_type=AxisValue | None)
]


def _unchanged(values: object) -> object:
    return values


Values = Annotated[
    dict[str, Value],
    # The loader expands lists before validation, so this only adds them to the JSON schema.
    BeforeValidator(
        _unchanged,
        json_schema_input_type=dict[str, Value]
        | Annotated[list[str], Field(min_length=1, json_schema_extra={"uniqueItems": True})],
    ),
]
_AXES_SCHEMA: dict[str, JsonValue] = {
    "required": [PYTHON],
    "propertyNames": {"pattern": AXIS_PATTERN, "not": {"enum": [*sorted(RESERVED)]}},
    "allOf": [
        {
            "properties": {
                PYTHON: {
                    "description": 'Python versions, written as X.Y in quotes, such as "3.12".',
                    "propertyNames": {"pattern": VERSION_PATTERN},
                    "items": {"pattern": VERSION_PATTERN},
                    "minProperties": 1,
                }
            }
        }
    ],
}


class Base(MatrixSection):
    """Base images of the cells."""

    model_config = ConfigDict(title="Base images")

    os: Annotated[str, AfterValidator(validators.image_without_python)] = Field(
        default="debian:bookworm-slim",
        description="Image of the operating system, which every cell is built on. It is the same "
        "for every Python version.",
    )
    python: Annotated[str, AfterValidator(validators.image_with_python)] = Field(
        default="python:{python}-slim-bookworm",
        description="Image that the Python interpreter is copied from. `{python}` is replaced by "
        "the version X.Y. An axis value can set another image as its `base`.",
    )


class Matrix(MatrixSection):
    """The matrix: the subject, the combinations to test it on, and the expected failures."""

    # The loader removes keys that start with x- before validation, see shorthand.py.
    model_config = ConfigDict(
        title="matrix.yaml", json_schema_extra={"patternProperties": {"^x-": {}}}
    )

    subject: Annotated[str, AfterValidator(_subject)] = Field(
        description="The package under test: a requirement such as `transformers>=5`, the path of "
        "a folder, an sdist or a wheel (relative to the working directory, with a slash, such as "
        "`./transformers`), or a URL such as `git+https://host/owner/name@main`. A path or URL is "
        "built into one wheel, which all cells install."
    )
    requires: Requirements = Field(
        default=(),
        description="Requirements (PEP 508) that every cell installs in addition to the subject. "
        "One requirement or a list. Default: none.",
    )
    imports: tuple[Annotated[str, AfterValidator(validators.import_name)], ...] = Field(
        default=(),
        description="Names that users import from the subject, such as `package.module` or "
        "`package.Name`, for checks that import it. Default: the checks find them in the "
        "installed package.",
    )
    checks: str | None = Field(
        default=None,
        min_length=1,
        description="Folder of the checks, relative to this file, or `builtin` for the checks of "
        "matrixci. Default: `builtin`; but a run in which most of the built-in checks do not apply "
        "to the subject is then not ready.",
    )
    axes: dict[str, Values] = Field(
        description="Axes of the matrix, each with its values: a list of names, or a mapping of "
        "names to settings. Each combination of one value of every axis is a cell. The axis "
        "`python` is required. In tables, the values of the last axis are the columns, and those "
        "of the other axes the rows.",
        json_schema_extra=_AXES_SCHEMA,
    )
    exclude: tuple[CellRule, ...] = Field(
        default=(),
        description="Rules for combinations to leave out. A combination that matches one of the "
        "rules is not a cell, unless a rule of `include` matches it too. Default: none.",
    )
    include: tuple[CellRule, ...] = Field(
        default=(),
        description="Rules for exceptions from `exclude`. A combination that matches one of the "
        "rules is a cell even if it is excluded. Default: none.",
    )
    tiers: Tiers = Field(
        default_factory=dict,
        description="Named parts of the matrix for the option `--tier`, each with a list of "
        "rules. A cell that matches one of the rules belongs to the tier; the rule `{}` matches "
        "every cell. Default: none.",
        json_schema_extra=TIERS_SCHEMA,
    )
    precompile: tuple[Annotated[str, AfterValidator(validators.statement)], ...] = Field(
        default=(),
        description="Python statements to run once while the image of a cell is built. The "
        "bytecode of the modules that they import becomes part of the image, so that checks "
        "start faster. Default: none.",
    )
    known_issues: tuple[KnownIssueEntry, ...] = Field(
        default=(),
        description="Expected failures. A check that fails as expected has the outcome "
        "`known-issue`; one that passes has the outcome `unexpected-pass`. Default: none.",
    )
    gates: Gates = Field(default=Gates(), description="Conditions that a release must meet.")
    base: Base = Field(
        default=Base(), description="Images that the images of the cells are built from."
    )
    runner: Labels = Field(
        default=("ubuntu-24.04",),
        description="GitHub Actions runner of each cell: one label or a list. An axis value can "
        "set its own. Cells with `gpu: true` use the labels in the repository variable "
        "`MATRIXCI_GPU_RUNNER` if it is set.",
    )
    environment: Environment = Field(
        default_factory=dict,
        description="Environment variables for the containers of all cells. Default: none.",
    )
    limits: Limits = Field(
        default=Limits(), description="Limits for the resources and the time of each cell."
    )
    retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a cell is retried after a failure of the infrastructure: the "
        "package index, a base image or the container engine. A failed check or a failed build of "
        "the subject is never retried.",
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        mistakes = self._name_mistakes() or self._combination_mistakes()
        raise_mistakes("matrix.yaml", mistakes)
        return self

    def _name_mistakes(self) -> list[Mistake]:
        mistakes = list(axis_mistakes(self.axes))
        for section, rules in {"exclude": self.exclude, "include": self.include}.items():
            mistakes += empty_rule_mistakes(section, rules)
            for index, rule in enumerate(rules):
                mistakes += rule_mistakes(self.axes, (section, index), rule)
        for path, rule in self._cell_rules():
            mistakes += rule_mistakes(self.axes, path, rule)
        mistakes += tier_mistakes(self.tiers)
        if "bounds" in self.gates.model_fields_set:
            mistakes += bounds_mistakes(self.axes, self.gates.bounds)
        return mistakes

    def _combination_mistakes(self) -> list[Mistake]:
        mistakes = combination_mistakes(self.axes, self.exclude, self.include)
        if mistakes:
            return mistakes
        cells = self.combinations()
        message = "matches no cell of the matrix; name cells that are not excluded"
        return [
            Mistake(path=path, message=message)
            for path, rule in self._cell_rules()
            if not any(matches_rule(rule, cell) for cell in cells)
        ]

    def _cell_rules(self) -> Iterator[tuple[KeyPath, dict[str, tuple[str, ...]]]]:
        """Yield the rules that must match a cell, each with its path."""
        for index, issue in enumerate(self.known_issues):
            where = {axis: as_values(values) for axis, values in issue.where.items()}
            yield ("known-issues", index, "where"), where
        for index, rule in enumerate(self.gates.require):
            yield ("gates", "require", index), rule
        for name, rules in self.tiers.items():
            yield from ((("tiers", name, index), rule) for index, rule in enumerate(rules))

    def combinations(self) -> tuple[Combination, ...]:
        """Return the combinations that are cells, in the order of the table."""
        return remaining_combinations(self.axes, self.exclude, self.include)

    def value_ids(self) -> dict[str, dict[str, str]]:
        """Return a mapping of axis to value name to the value's part of a cell id."""
        return {
            axis: {name: value_id(axis, name, value) for name, value in values.items()}
            for axis, values in self.axes.items()
        }
