"""matrix.yaml as data: a Matrix that exists is a valid one."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from matrixci.errors import SubjectError
from matrixci.matrix import validators as formats
from matrixci.matrix.axes import (
    AXIS_PATTERN,
    PYTHON,
    RESERVED,
    VERSION_PATTERN,
    AxisValue,
    Entry,
    Environment,
    Labels,
    Requirements,
    Rule,
    as_values,
    axis_mistakes,
    empty_rule_mistakes,
    rule_mistakes,
    value_id,
)
from matrixci.matrix.combinations import Combination, combination_mistakes, kept, matches
from matrixci.matrix.gates import Gates, bounds_mistakes
from matrixci.matrix.known_issues import KnownIssueEntry
from matrixci.matrix.mistakes import Mistake, Path, refuse
from matrixci.matrix.subject_kind import SubjectKind, subject_kind
from matrixci.matrix.tiers import TIERS_SCHEMA, Tiers, tier_mistakes

__all__ = ["Base", "Limits", "Matrix", "SubjectKind", "subject_kind"]


def _subject(text: str) -> str:
    try:
        subject_kind(text)
    except SubjectError as error:
        raise ValueError(str(error)) from error
    return text.strip()


def _nothing_is_empty(value: object) -> object:
    return {} if value is None else value


Value = Annotated[
    AxisValue, BeforeValidator(_nothing_is_empty, json_schema_input_type=AxisValue | None)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Size = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(
        formats.size,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=formats.SIZE_PATTERN)],
    ),
]


def _as_it_is(values: object) -> object:
    return values


Values = Annotated[
    dict[str, Value],
    # A list is written out before it gets here; editors are told of it by this.
    BeforeValidator(
        _as_it_is,
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
                    "description": 'The Python versions, X.Y in quotes: "3.12":',
                    "propertyNames": {"pattern": VERSION_PATTERN},
                    "items": {"pattern": VERSION_PATTERN},
                    "minProperties": 1,
                }
            }
        }
    ],
}


class Base(Entry):
    """The images that the cells' images are made from."""

    os: Annotated[str, AfterValidator(formats.image_for_no_python)] = Field(
        default="debian:bookworm-slim", description="The operating system's image."
    )
    python: Annotated[str, AfterValidator(formats.image_for_each_python)] = Field(
        default="python:{python}-slim-bookworm",
        description="The image that the interpreter is taken from; {python} stands for X.Y.",
    )


class Limits(Entry):
    """What one cell may take. Times are seconds; sizes are bytes, or written as "6 GiB"."""

    check_timeout: Seconds = Field(default=300, description="Seconds for one check.")
    no_output_timeout: Seconds = Field(
        default=600,
        description="Seconds without a line of output after which a container is ended. It prints "
        "one as each check begins and ends, so this is no less than the time of a check.",
    )
    cell_timeout: Seconds = Field(default=1800, description="Seconds for all checks of a cell.")
    build_timeout: Seconds = Field(default=3600, description="Seconds for building an image.")
    memory: Annotated[Size, AfterValidator(formats.memory)] = Field(
        default=6 * 2**30, description="Memory of a container, without swap."
    )
    pids: int = Field(default=512, gt=0, description="Processes and threads of a container.")
    cpus: float = Field(default=1, gt=0, allow_inf_nan=False, description="CPUs of a container.")
    tmp_size: Size = Field(default=2 * 2**30, description="The writable /tmp of a container.")
    reruns: int = Field(
        default=10,
        ge=0,
        description="Failed checks that are run once more, alone: one that passes then is flaky. "
        "Where more have failed, none is run again.",
    )
    log_size: Size = Field(default=10 * 2**20, description="What is kept of a container's output.")
    result_size: Size = Field(
        default=32 * 2**20, description="The largest result file that is read."
    )
    min_free_disk: Size = Field(
        default=10 * 2**30,
        description="What must be free on the engine's disk before a run begins.",
    )

    @model_validator(mode="after")
    def _timeouts_exceed_check_timeout(self) -> Self:
        for name in ("no_output_timeout", "cell_timeout"):
            seconds: float = getattr(self, name)
            if seconds < self.check_timeout:
                key = name.replace("_", "-")
                message = (
                    f"{key}, {seconds:g} s, is less than check-timeout, {self.check_timeout:g} s; "
                    "write at least as much"
                )
                path = key if name in self.model_fields_set else "check-timeout"
                refuse("limits", [Mistake(path=(path,), message=message)])
        return self


class Matrix(Entry):
    """The matrix: what is tested, on which combinations, and what is known to fail."""

    # Keys of one's own are taken out before the rest is validated: shorthand.py.
    model_config = ConfigDict(
        title="matrix.yaml", json_schema_extra={"patternProperties": {"^x-": {}}}
    )

    subject: Annotated[str, AfterValidator(_subject)] = Field(
        description="The package under test: a requirement, a wheel, an sdist, a folder or a URL."
    )
    requires: Requirements = Field(
        default=(), description="Requirements beside the subject, in every cell (PEP 508)."
    )
    imports: tuple[Annotated[str, AfterValidator(formats.entry)], ...] = Field(
        default=(),
        description="What users import of the subject, as `package.module` or `package.Name`. "
        "Left out: the checks find it from the package.",
    )
    checks: str | None = Field(
        default=None,
        min_length=1,
        description='The folder of checks, relative to this file, or "builtin" for those that come '
        "with matrixci. Left out: the built-in ones, and a run in which most of them do not apply "
        "is not ready.",
    )
    axes: dict[str, Values] = Field(
        description="Axis to its values: a list of names, or a mapping of names to what each "
        "brings. The last axis runs across in the table, the others down.",
        json_schema_extra=_AXES_SCHEMA,
    )
    exclude: tuple[Rule, ...] = Field(
        default=(),
        description="Rules, axis to value or values: a cell that matches all of one is out.",
    )
    include: tuple[Rule, ...] = Field(
        default=(), description="Rules of the same form: they bring back what an exclude took."
    )
    tiers: Tiers = Field(
        default_factory=dict,
        description="Named parts of the matrix, chosen by --tier: name to rules of the same form; "
        "a cell that matches one is in it, {} is every cell.",
        json_schema_extra=TIERS_SCHEMA,
    )
    precompile: tuple[Annotated[str, AfterValidator(formats.statement)], ...] = Field(
        default=(),
        description="Python statements run once while an image is built, for their bytecode.",
    )
    known_issues: tuple[KnownIssueEntry, ...] = Field(
        default=(), description="Expected failures, each with a reason and a day it expires on."
    )
    gates: Gates = Field(default=Gates(), description="What a release needs to be ready.")
    base: Base = Field(default=Base(), description="The images to start from.")
    runner: Labels = Field(
        default=("ubuntu-24.04",),
        description="The GitHub runner of each cell, a label or several; a value of an axis may "
        "name its own, and the variable MATRIXCI_GPU_RUNNER one with a GPU.",
    )
    environment: Environment = Field(
        default_factory=dict, description="Environment variables set in every cell."
    )
    limits: Limits = Field(default=Limits(), description="What one cell may take.")
    retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a cell is tried again that the infrastructure failed (index, base "
        "image, engine). What a check or a build of the subject came to is never tried again.",
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        mistakes = self._name_mistakes() or self._combination_mistakes()
        refuse("matrix.yaml", mistakes)
        return self

    def _name_mistakes(self) -> list[Mistake]:
        mistakes = list(axis_mistakes(self.axes))
        for section, rules in {"exclude": self.exclude, "include": self.include}.items():
            mistakes += empty_rule_mistakes(section, rules)
            for index, rule in enumerate(rules):
                mistakes += rule_mistakes(self.axes, (section, index), rule)
        for path, rule in self._rules():
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
        message = "matches no cell of the matrix; name cells that no exclude took"
        return [
            Mistake(path=path, message=message)
            for path, rule in self._rules()
            if not any(matches(rule, cell) for cell in cells)
        ]

    def _rules(self) -> Iterator[tuple[Path, dict[str, tuple[str, ...]]]]:
        """Yield the rules that speak of cells that are there, each with its path."""
        for index, issue in enumerate(self.known_issues):
            where = {axis: as_values(values) for axis, values in issue.where.items()}
            yield ("known-issues", index, "where"), where
        for index, rule in enumerate(self.gates.require):
            yield ("gates", "require", index), rule
        for name, rules in self.tiers.items():
            yield from ((("tiers", name, index), rule) for index, rule in enumerate(rules))

    def combinations(self) -> tuple[Combination, ...]:
        """Return the combinations that are cells, in the table's order."""
        return kept(self.axes, self.exclude, self.include)

    def value_ids(self) -> dict[str, dict[str, str]]:
        """Return axis to value name to the value's part of a cell's id."""
        return {
            axis: {name: value_id(axis, name, value) for name, value in values.items()}
            for axis, values in self.axes.items()
        }
