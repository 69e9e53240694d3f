"""Load matrix.yaml, and report all mistakes in it, each with its line and what to write."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from matrixci.errors import MatrixFileError
from matrixci.matrix.axes import (
    PYTHON,
    AxisNames,
    axis_mistakes,
    empty_rule_mistakes,
    rule_mistakes,
)
from matrixci.matrix.definition import Matrix
from matrixci.matrix.gates import bounds_mistakes
from matrixci.matrix.mistakes import Mistake
from matrixci.matrix.shorthand import expand_shorthand
from matrixci.matrix.tiers import tier_mistakes
from matrixci.matrix.validation_messages import readable_mistakes
from matrixci.matrix.yaml_document import Document, parse_yaml
from matrixci.matrix.yaml_errors import Located, YamlError

_EXAMPLE: Final = """\
  subject: .
  checks: tests
  axes:
    python: ["3.12", "3.13"]
"""
_MAX_BYTES: Final = 128 * 1024
_MAX_LINES: Final = 50
_MAX_LINE_LENGTH: Final = 400


def load_matrix(path: Path) -> Matrix:
    """Load the matrix from a file.

    Raises:
        MatrixFileError: the file cannot be read or has mistakes. The message has one line for
            each, such as
            `matrix.yaml:12:7: axes.numpy.2.x.require: unknown key; did you mean "requires"?`.
    """
    try:
        document = expand_shorthand(parse_yaml(_text(path)))
    except YamlError as error:
        raise _file_error(path, [error.located]) from error
    try:
        matrix = Matrix.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        mistakes = [
            *readable_mistakes(error, document),
            *_name_mistakes(document),
            *_combination_mistakes(error, document),
        ]
        located = [document.locate(mistake) for mistake in mistakes]
        raise _file_error(path, [*_in_known_keys(error, document), *located]) from None
    if document.mistakes:
        raise _file_error(path, document.mistakes)
    return matrix


def error_at_key(path: Path, key: str, message: str) -> MatrixFileError:
    """Return an error, with its line, for a value that turned out to be wrong after loading.

    Args:
        path: the file, which was loaded before.
        key: a top-level key.
        message: the mistake in its value.
    """
    try:
        located = parse_yaml(_text(path)).locate(Mistake(path=(key,), message=message))
    except (YamlError, MatrixFileError):  # the file was changed since
        return _file_problem(path, f"{key}: {message}")
    return _file_error(path, [located])


def _text(path: Path) -> str:
    """Return the text of the file.

    Raises:
        MatrixFileError: the file is missing, unreadable, too large or not UTF-8.
    """
    try:
        if path.is_dir():
            raise _file_problem(path, "this is a directory; name the file matrix.yaml in it")
        if path.exists() and not path.is_file():
            raise _file_problem(path, "this is not a regular file; name a matrix.yaml")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        message = f"{path}: file not found; name another one with --matrix, or create it, such as"
        msg = f"{_printable(message)}\n{_EXAMPLE.rstrip()}"
        raise MatrixFileError(msg) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _file_problem(path, f"cannot be read: {reason}") from error
    if len(content) > _MAX_BYTES:
        raise _file_problem(
            path, f"larger than {_MAX_BYTES // 1024} KiB, the maximum size of a matrix"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = (
            f"not UTF-8 (the byte 0x{content[error.start]:02X} in line {line}); save it as UTF-8"
        )
        raise _file_problem(path, message) from error


def _in_known_keys(error: ValidationError, document: Document) -> list[Located]:
    """Return the mistakes found while parsing, except those in unknown keys."""
    errors = error.errors(include_url=False)
    unknown = {
        document.places[document.trace(each["loc"])].key
        for each in errors
        if each["type"] == "extra_forbidden"
    }
    return [mistake for mistake in document.mistakes if mistake.spot not in unknown]


def _name_mistakes(document: Document) -> Iterator[Mistake]:
    """Yield the mistakes in names.

    Other mistakes prevent a Matrix, so the names are looked up in the raw data, in order to
    report all mistakes at once.
    """
    top = document.data
    if not isinstance(top, Mapping) or not isinstance(axes := top.get("axes"), Mapping):
        return
    names: AxisNames = {
        axis: tuple(values) for axis, values in axes.items() if isinstance(values, dict)
    }
    for mistake in axis_mistakes(names):
        if mistake.path != ("axes",) or PYTHON not in axes:  # present, but of a wrong type
            yield mistake
    for section in ("exclude", "include"):
        yield from empty_rule_mistakes(section, _items(top, section))
        for index, rule in enumerate(_items(top, section)):
            yield from rule_mistakes(names, (section, index), _valid_part(rule, axes, names))
    for index, issue in enumerate(_items(top, "known-issues")):
        where = issue.get("where") if isinstance(issue, Mapping) else None
        path = ("known-issues", index, "where")
        yield from rule_mistakes(names, path, _valid_part(where, axes, names))
    yield from _gate_name_mistakes(top, axes, names)
    yield from _tier_name_mistakes(top, axes, names)


def _gate_name_mistakes(
    top: Mapping[str, object], axes: Mapping[str, object], names: AxisNames
) -> Iterator[Mistake]:
    gates = top.get("gates")
    if not isinstance(gates, Mapping):
        return
    for index, rule in enumerate(_items(gates, "require")):
        path = ("gates", "require", index)
        yield from rule_mistakes(names, path, _valid_part(rule, axes, names))
    bounds = gates.get("bounds")
    named: list[object] = bounds if isinstance(bounds, list) else [bounds]
    texts = [axis for axis in named if isinstance(axis, str)]
    if len(texts) == len(named):
        yield from bounds_mistakes([*axes], texts)


def _tier_name_mistakes(
    top: Mapping[str, object], axes: Mapping[str, object], names: AxisNames
) -> Iterator[Mistake]:
    tiers = top.get("tiers")
    if not isinstance(tiers, Mapping):
        return
    # A value that is not a list is already reported as a wrong type.
    yield from tier_mistakes({name: r for name, r in tiers.items() if isinstance(r, list)})
    for name in tiers:
        for index, rule in enumerate(_items(tiers, name)):
            path = ("tiers", name, index)
            yield from rule_mistakes(names, path, _valid_part(rule, axes, names))


def _items(top: Mapping[str, object], section: str) -> list[object]:
    items = top.get(section)
    return items if isinstance(items, list) else []


def _valid_part(
    rule: object, axes: Mapping[str, object], names: AxisNames
) -> dict[str, tuple[str, ...]]:
    """Return the part of a rule that has no wrong types, which are reported elsewhere."""
    if not isinstance(rule, Mapping):
        return {}
    listed = {
        axis: tuple(values) if isinstance(values, list) else (values,)
        for axis, values in rule.items()
        if axis in names or axis not in axes
    }
    return {axis: each for axis, each in listed.items() if all(isinstance(v, str) for v in each)}


def _combination_mistakes(error: ValidationError, document: Document) -> list[Mistake]:
    """Return the mistakes in the combinations if all earlier mistakes are in other sections."""
    faulty = {each["loc"][0] for each in error.errors() if each["loc"]}
    if not isinstance(document.data, Mapping) or faulty & {"axes", "exclude", "include"}:
        return []
    valid = {key: value for key, value in document.data.items() if key not in faulty}
    try:
        Matrix.model_validate_json(json.dumps({"subject": "any", **valid}), strict=True)
    except ValidationError as second:
        return readable_mistakes(second, document)
    return []


def _file_error(path: Path, mistakes: Iterable[Located]) -> MatrixFileError:
    """Return the error with one line for each mistake, in the order of the file."""
    ordered = sorted(set(mistakes))
    lines = [
        ": ".join(filter(None, (f"{path}:{spot.line}:{spot.column}", where, message)))
        for spot, where, message in ordered[:_MAX_LINES]
    ]
    if len(ordered) > _MAX_LINES:
        lines.append(f"{path}: and {len(ordered) - _MAX_LINES} more mistakes")
    return MatrixFileError("\n".join(_printable(line) for line in lines))


def _file_problem(path: Path, message: str) -> MatrixFileError:
    return MatrixFileError(_printable(f"{path}: {message}"))


def _printable(line: str) -> str:
    """Return a line without control characters and with a limited length."""
    safe = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )
    return safe if len(safe) <= _MAX_LINE_LENGTH else f"{safe[:_MAX_LINE_LENGTH]}..."
