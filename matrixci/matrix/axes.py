"""The axes of a matrix, their values, and the rules that name them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from matrixci.matrix import validators as formats
from matrixci.matrix.mistakes import KEY, Mistake, Path
from matrixci.util.text import did_you_mean

PYTHON: Final = "python"
PYTHON_FLOOR: Final = (3, 10)
VERSION_PATTERN: Final = r"^([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$"
AXIS_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,31}$"
ID_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]*$"
RESERVED: Final = frozenset(
    [
        "as-of",
        "base",
        "build-cache",
        "cell",
        "check",
        "checks",
        "fresh",
        "help",
        "install-engine",
        "jobs",
        "matrix",
        "no-history",
        "output",
        "plan",
        "registry",
        "require-limits",
        "resume",
        "shard-size",
        "subject",
        "tier",
        "work-dir",
    ]
)
"""No names for an axis: each axis is an option of the commands, and these are theirs."""
_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class Entry(BaseModel):
    """A mapping in matrix.yaml: keys in kebab-case, none but the known ones, never changed."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )


def as_values(values: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return one value or several as several."""
    return (values,) if isinstance(values, str) else values


def as_list(value: object) -> object:
    """Return what is written as one value or as a list of them as several."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def is_id(text: str) -> bool:
    """Tell whether a text is safe in a file name, a docker tag and a label."""
    return re.fullmatch(ID_PATTERN, text) is not None


def _value_id(text: str) -> str:
    if not is_id(text):
        msg = "not an id; write a-z and 0-9 first, then those and . _ -, such as numpy1"
        raise ValueError(msg)
    return text


Id = Annotated[
    str, AfterValidator(_value_id), WithJsonSchema({"type": "string", "pattern": ID_PATTERN})
]
TorchBackend = Annotated[
    str,
    AfterValidator(formats.torch_backend),
    WithJsonSchema({"type": "string", "pattern": formats.BACKEND_PATTERN}),
]
Requirement = Annotated[str, AfterValidator(formats.requirement)]
Requirements = Annotated[
    tuple[Requirement, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])
]
Environment = dict[
    Annotated[str, AfterValidator(formats.variable)],
    Annotated[str, AfterValidator(formats.variable_value)],
]
Rule = dict[
    str,
    Annotated[tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])],
]
Labels = Annotated[
    tuple[
        Annotated[
            str,
            AfterValidator(formats.label),
            WithJsonSchema({"type": "string", "pattern": formats.LABEL_PATTERN}),
        ],
        ...,
    ],
    AfterValidator(formats.labels),
    BeforeValidator(as_list, json_schema_input_type=str | list[str]),
]
Names = Mapping[str, Collection[str]]
"""The names of the axes, each with the names of its values, in the order of the file."""


class AxisValue(Entry):
    """What one value of an axis brings into the cells that have it."""

    id: Id | None = Field(
        default=None,
        description="Its part of a cell's id. Left out: py3.12, numpy1.x, tensorflow-absent.",
    )
    requires: Requirements = Field(
        default=(), description="Requirements to install beside the subject (PEP 508)."
    )
    environment: Environment = Field(
        default_factory=dict, description="Environment variables set in the container."
    )
    torch_backend: TorchBackend | None = Field(
        default=None,
        description="The build of torch: cpu, xpu, cu126, rocm6.4. Left out: the index's own.",
    )
    base: Annotated[str, AfterValidator(formats.image)] | None = Field(
        default=None,
        description="The interpreter's base image, in the place of base.python; {python} is X.Y.",
    )
    gpu: bool = Field(default=False, description="Whether the container asks for a GPU.")
    runner: Labels | None = Field(
        default=None,
        description="The GitHub runner of its cells, a label or several, in the place of runner.",
    )


def value_id(axis: str, name: str, value: AxisValue) -> str:
    """Return a value's part of a cell's id: as written, or else made of the two names."""
    if value.id is not None:
        return value.id
    if axis == PYTHON:
        return f"py{name}"
    return f"{axis}{name}" if name[0].isdigit() else f"{axis}-{name}"


def axis_mistakes(names: Names) -> Iterator[Mistake]:
    """Yield what is wrong with the names of axes and of values, and what is missing."""
    if PYTHON not in names:
        message = f'the axis "{PYTHON}" is missing; write it with its versions, such as "3.12":'
        yield Mistake(path=("axes",), message=message)
    for axis, values in names.items():
        if not re.fullmatch(AXIS_PATTERN, axis):
            message = "not the name of an axis; write a-z first, then a-z, 0-9, _ and -"
            yield Mistake(path=("axes", axis, KEY), message=message)
        if axis in RESERVED:
            message = f"an axis is chosen by an option, and --{axis} is taken; write another name"
            yield Mistake(path=("axes", axis, KEY), message=message)
        if not values:
            message = "this axis has no values; write at least one under it, or take it out"
            yield Mistake(path=("axes", axis, KEY), message=message)
        for name in values:
            problem = _python_problem(name) if axis == PYTHON else _name_problem(name)
            if problem:
                yield Mistake(path=("axes", axis, name, KEY), message=problem)


def _name_problem(name: str) -> str:
    if _VALUE.fullmatch(name):
        return ""
    return "not the name of a value; write a letter or digit first, then those and . _ + -"


def _python_problem(name: str) -> str:
    found = re.fullmatch(VERSION_PATTERN, name)
    if found is None:
        return 'not a Python version; write X.Y in quotes, such as "3.12"'
    if (int(found[1]), int(found[2])) < PYTHON_FLOOR:
        floor = ".".join(map(str, PYTHON_FLOOR))
        return f'the checks\' harness needs Python {floor}; write "{floor}" or a newer one'
    return ""


def empty_rule_mistakes(section: str, rules: Sequence[object]) -> list[Mistake]:
    """Return the rules of a section (exclude, include) that name no axis."""
    message = "an empty rule matches every cell; name an axis and its values"
    return [
        Mistake(path=(section, index), message=message)
        for index, rule in enumerate(rules)
        if rule == {}
    ]


def rule_mistakes(names: Names, path: Path, rule: Mapping[str, Collection[str]]) -> list[Mistake]:
    """Return what a rule at a path names that the matrix doesn't have."""
    mistakes = []
    for axis, values in rule.items():
        if axis not in names:
            message = f'there is no axis "{axis}"; {did_you_mean(axis, names)}'
            mistakes.append(Mistake(path=(*path, axis, KEY), message=message))
            continue
        if not values:
            message = f"no value is named, so nothing matches; {did_you_mean('', names[axis])}"
            mistakes.append(Mistake(path=(*path, axis), message=message))
        for index, name in enumerate(values):
            if name not in names[axis]:
                question = did_you_mean(name, names[axis])
                message = f'the axis "{axis}" has no value "{name}"; {question}'
                mistakes.append(Mistake(path=(*path, axis, index), message=message))
    return mistakes
