"""Axes of a matrix, their values, and rules that match cells."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from matrixci.matrix import validators
from matrixci.matrix.mistakes import KEY, KeyPath, Mistake
from matrixci.util.text import listed, nearest

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
"""Names that an axis cannot have: each axis is an option of the commands, as these are."""
_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class MatrixSection(BaseModel):
    """An immutable mapping in matrix.yaml with keys in kebab-case and no unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )


def as_values(values: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return one or several values as a tuple."""
    return (values,) if isinstance(values, str) else values


def as_list(value: object) -> object:
    """Return a list as a tuple, and any other value as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def is_id(text: str) -> bool:
    """Return whether a text can be part of a file name, an image tag and a label."""
    return re.fullmatch(ID_PATTERN, text) is not None


def _value_id(text: str) -> str:
    if not is_id(text):
        msg = "invalid id; start with a-z or 0-9, then use those and . _ -, such as numpy1"
        raise ValueError(msg)
    return text


Id = Annotated[
    str, AfterValidator(_value_id), WithJsonSchema({"type": "string", "pattern": ID_PATTERN})
]
TorchBackend = Annotated[
    str,
    AfterValidator(validators.torch_backend),
    WithJsonSchema({"type": "string", "pattern": validators.BACKEND_PATTERN}),
]
Requirement = Annotated[str, AfterValidator(validators.requirement)]
Requirements = Annotated[
    tuple[Requirement, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])
]
Environment = dict[
    Annotated[str, AfterValidator(validators.variable)],
    Annotated[str, AfterValidator(validators.variable_value)],
]
CellRule = dict[
    str,
    Annotated[tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=str | list[str])],
]
Labels = Annotated[
    tuple[
        Annotated[
            str,
            AfterValidator(validators.label),
            WithJsonSchema({"type": "string", "pattern": validators.LABEL_PATTERN}),
        ],
        ...,
    ],
    AfterValidator(validators.labels),
    BeforeValidator(as_list, json_schema_input_type=str | list[str]),
]
AxisNames = Mapping[str, Collection[str]]
"""Names of the axes, each with the names of its values, in the order of the file."""


class AxisValue(MatrixSection):
    """Settings for the cells that have one value of an axis."""

    model_config = ConfigDict(title="Value of an axis")

    id: Id | None = Field(
        default=None,
        description="The value's part of the cell id: a-z, 0-9, `.`, `_` and `-`, starting with a "
        "letter or digit. Default: made from the names of the axis and the value, such as "
        "`py3.12`, `numpy1.x` or `tensorflow-absent`.",
    )
    requires: Requirements = Field(
        default=(),
        description="Requirements (PEP 508) to install in addition to the subject and the "
        "top-level `requires`. One requirement or a list. Default: none.",
    )
    environment: Environment = Field(
        default_factory=dict,
        description="Environment variables of the container. They override those of the "
        "top-level `environment`. Default: none.",
    )
    torch_backend: TorchBackend | None = Field(
        default=None,
        description="Build of PyTorch to install: `cpu`, `xpu`, a CUDA version such as `cu126`, or "
        "a ROCm version such as `rocm6.4`. Default: the build in the package index. If the index "
        "of the build is unreachable, the default is used and reported.",
    )
    base: Annotated[str, AfterValidator(validators.image)] | None = Field(
        default=None,
        description="Image that the Python interpreter is copied from. `{python}` is replaced by "
        "the version X.Y. Default: `base.python`.",
    )
    gpu: bool = Field(
        default=False,
        description="Whether the container gets access to the GPUs of the machine. On a machine "
        "without a GPU the cell still runs, and checks that need one are skipped and reported as "
        "not verified.",
    )
    runner: Labels | None = Field(
        default=None,
        description="GitHub Actions runner, one label or a list. Default: the top-level `runner`.",
    )


def value_id(axis: str, name: str, value: AxisValue) -> str:
    """Return the value's part of a cell id: the `id`, or else one made of both names."""
    if value.id is not None:
        return value.id
    if axis == PYTHON:
        return f"py{name}"
    return f"{axis}{name}" if name[0].isdigit() else f"{axis}-{name}"


def axis_mistakes(names: AxisNames) -> Iterator[Mistake]:
    """Yield the mistakes in the names of axes and values."""
    if PYTHON not in names:
        message = f'the axis "{PYTHON}" is missing; write it with its versions, such as ["3.12"]'
        yield Mistake(path=("axes",), message=message)
    for axis, values in names.items():
        if not re.fullmatch(AXIS_PATTERN, axis):
            message = "invalid axis name; start with a-z, then use a-z, 0-9, _ and -"
            yield Mistake(path=("axes", axis, KEY), message=message)
        if axis in RESERVED:
            message = f"invalid axis name: matrixci has an option --{axis}; write another name"
            yield Mistake(path=("axes", axis, KEY), message=message)
        if not values:
            message = "this axis has no values; write at least one, or remove the axis"
            yield Mistake(path=("axes", axis, KEY), message=message)
        for name in values:
            problem = _python_problem(name) if axis == PYTHON else _name_problem(name)
            if problem:
                yield Mistake(path=("axes", axis, name, KEY), message=problem)


def _name_problem(name: str) -> str:
    if _VALUE.fullmatch(name):
        return ""
    return "invalid value name; start with a letter or digit, then use those and . _ + -"


def _python_problem(name: str) -> str:
    found = re.fullmatch(VERSION_PATTERN, name)
    if found is None:
        return 'invalid Python version; write X.Y in quotes, such as "3.12"'
    if (int(found[1]), int(found[2])) < PYTHON_FLOOR:
        floor = ".".join(map(str, PYTHON_FLOOR))
        return f'Python {floor} is the oldest supported version; write "{floor}" or a newer one'
    return ""


def empty_rule_mistakes(section: str, rules: Sequence[object]) -> list[Mistake]:
    """Return a mistake for each rule of a section (exclude, include) that names no axis."""
    message = "an empty rule matches every cell; name an axis and its values"
    return [
        Mistake(path=(section, index), message=message)
        for index, rule in enumerate(rules)
        if rule == {}
    ]


def rule_mistakes(
    names: AxisNames, path: KeyPath, rule: Mapping[str, Collection[str]]
) -> list[Mistake]:
    """Return a mistake for each axis or value in a rule that the matrix does not have."""
    mistakes = []
    for axis, values in rule.items():
        if axis not in names:
            mistakes.append(Mistake(path=(*path, axis, KEY), message=unknown_axis(axis, names)))
            continue
        if not values:
            message = f"empty list, which matches no cell; the values are {listed(names[axis])}"
            mistakes.append(Mistake(path=(*path, axis), message=message))
        for index, name in enumerate(values):
            if name not in names[axis]:
                hint = _hint(name, names[axis], "values")
                message = f'unknown value "{name}" of the axis {axis}; {hint}'
                mistakes.append(Mistake(path=(*path, axis, index), message=message))
    return mistakes


def unknown_axis(axis: str, axes: Collection[str]) -> str:
    """Return the message for an axis that the matrix does not have."""
    return f'unknown axis "{axis}"; {_hint(axis, axes, "axes")}'


def _hint(word: str, known: Collection[str], noun: str) -> str:
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near else f"the {noun} are {listed(known) or 'missing'}"
