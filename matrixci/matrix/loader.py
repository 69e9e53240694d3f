"""Reads matrix.yaml; tells every mistake in it, each with its line and what to write instead."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from matrixci.errors import MatrixFileError
from matrixci.matrix.axes import PYTHON, Names, axis_mistakes, empty_rule_mistakes, rule_mistakes
from matrixci.matrix.definition import Matrix
from matrixci.matrix.gates import bounds_mistakes
from matrixci.matrix.mistakes import Mistake
from matrixci.matrix.shorthand import written_out
from matrixci.matrix.tiers import tier_mistakes
from matrixci.matrix.validation_messages import in_words
from matrixci.matrix.yaml_document import Document, read_document
from matrixci.matrix.yaml_errors import Located, YamlError

_EXAMPLE: Final = """\
  subject: .
  checks: tests
  axes:
    python: ["3.12", "3.13"]
"""
_LARGEST: Final = 128 * 1024
_MOST_LINES: Final = 50
_LONGEST_LINE: Final = 400


def load_matrix(path: Path) -> Matrix:
    """Read the matrix from a file.

    Raises:
        MatrixFileError: it can't be read, or has mistakes; the message has one line for each, as
            `matrix.yaml:12:7: axes.numpy.2.x.require: unknown key; did you mean "requires"?`.
    """
    try:
        document = written_out(read_document(_text(path)))
    except YamlError as error:
        raise _refusal(path, [error.located]) from error
    try:
        matrix = Matrix.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        mistakes = [*in_words(error, document), *_names(document), *_combinations(error, document)]
        located = [document.locate(mistake) for mistake in mistakes]
        raise _refusal(path, [*_in_known_keys(error, document), *located]) from None
    if document.mistakes:
        raise _refusal(path, document.mistakes)
    return matrix


def refusal_of(path: Path, key: str, message: str) -> MatrixFileError:
    """Return the error of a value that only whoever uses it finds wrong, with its line.

    Args:
        path: the file, which was read before.
        key: a key at its top.
        message: what is wrong with the value.
    """
    try:
        located = read_document(_text(path)).locate(Mistake(path=(key,), message=message))
    except (YamlError, MatrixFileError):  # it was changed meanwhile
        return _unreadable(path, f"{key}: {message}")
    return _refusal(path, [located])


def _text(path: Path) -> str:
    """Return the text of the file, where it is one that can be a matrix."""
    try:
        if path.is_dir():
            raise _unreadable(path, "a directory; name the file in it, matrix.yaml")
        if path.exists() and not path.is_file():
            raise _unreadable(path, "not a file; name a matrix.yaml")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        told = f"{path}: there is no such file; name another with --matrix, or write one, such as"
        msg = f"{_printable(told)}\n{_EXAMPLE.rstrip()}"
        raise MatrixFileError(msg) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(path, f"can't be read: {reason}") from error
    if len(content) > _LARGEST:
        raise _unreadable(path, f"over {_LARGEST // 1024} KiB; a matrix is far smaller")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = (
            f"not UTF-8 (the byte 0x{content[error.start]:02X} in line {line}); save it as UTF-8"
        )
        raise _unreadable(path, message) from error


def _in_known_keys(error: ValidationError, document: Document) -> list[Located]:
    """Return the mistakes of the reading, except how to write a key that there isn't."""
    errors = error.errors(include_url=False)
    unknown = {
        document.places[document.trace(each["loc"])].key
        for each in errors
        if each["type"] == "extra_forbidden"
    }
    return [mistake for mistake in document.mistakes if mistake.spot not in unknown]


def _names(document: Document) -> Iterator[Mistake]:
    """Yield what is wrong with the names, looked up in the data as it is.

    Where something else is wrong there is no Matrix to ask, and the user is told all at once.
    """
    top = document.data
    if not isinstance(top, Mapping) or not isinstance(axes := top.get("axes"), Mapping):
        return
    clear: Names = {
        axis: tuple(values) for axis, values in axes.items() if isinstance(values, dict)
    }
    for mistake in axis_mistakes(clear):
        if mistake.path != ("axes",) or PYTHON not in axes:  # there, though of a wrong type
            yield mistake
    for section in ("exclude", "include"):
        yield from empty_rule_mistakes(section, _items(top, section))
        for index, rule in enumerate(_items(top, section)):
            yield from rule_mistakes(clear, (section, index), _clear_rule(rule, axes, clear))
    for index, issue in enumerate(_items(top, "known-issues")):
        where = issue.get("where") if isinstance(issue, Mapping) else None
        path = ("known-issues", index, "where")
        yield from rule_mistakes(clear, path, _clear_rule(where, axes, clear))
    yield from _gates_names(top, axes, clear)
    yield from _tiers_names(top, axes, clear)


def _gates_names(
    top: Mapping[str, object], axes: Mapping[str, object], clear: Names
) -> Iterator[Mistake]:
    gates = top.get("gates")
    if not isinstance(gates, Mapping):
        return
    for index, rule in enumerate(_items(gates, "require")):
        path = ("gates", "require", index)
        yield from rule_mistakes(clear, path, _clear_rule(rule, axes, clear))
    bounds = gates.get("bounds")
    named: list[object] = bounds if isinstance(bounds, list) else [bounds]
    texts = [axis for axis in named if isinstance(axis, str)]
    if len(texts) == len(named):
        yield from bounds_mistakes([*axes], texts)


def _tiers_names(
    top: Mapping[str, object], axes: Mapping[str, object], clear: Names
) -> Iterator[Mistake]:
    tiers = top.get("tiers")
    if not isinstance(tiers, Mapping):
        return
    # What is no list is told already, as a wrong type.
    yield from tier_mistakes({name: r for name, r in tiers.items() if isinstance(r, list)})
    for name in tiers:
        for index, rule in enumerate(_items(tiers, name)):
            path = ("tiers", name, index)
            yield from rule_mistakes(clear, path, _clear_rule(rule, axes, clear))


def _items(top: Mapping[str, object], section: str) -> list[object]:
    items = top.get(section)
    return items if isinstance(items, list) else []


def _clear_rule(
    rule: object, axes: Mapping[str, object], clear: Names
) -> dict[str, tuple[str, ...]]:
    """Return the part of a rule whose mistakes aren't told already as those of types."""
    if not isinstance(rule, Mapping):
        return {}
    listed = {
        axis: tuple(values) if isinstance(values, list) else (values,)
        for axis, values in rule.items()
        if axis in clear or axis not in axes
    }
    return {axis: each for axis, each in listed.items() if all(isinstance(v, str) for v in each)}


def _combinations(error: ValidationError, document: Document) -> list[Mistake]:
    """Return what is wrong with the combinations, where only other parts have mistakes so far."""
    faulty = {each["loc"][0] for each in error.errors() if each["loc"]}
    if not isinstance(document.data, Mapping) or faulty & {"axes", "exclude", "include"}:
        return []
    sound = {key: value for key, value in document.data.items() if key not in faulty}
    try:
        Matrix.model_validate_json(json.dumps({"subject": "any", **sound}), strict=True)
    except ValidationError as behind:
        return in_words(behind, document)
    return []


def _refusal(path: Path, mistakes: Iterable[Located]) -> MatrixFileError:
    """Return the error that tells all mistakes, a line each, in the order of the file."""
    ordered = sorted(set(mistakes))
    lines = [
        ": ".join(filter(None, (f"{path}:{spot.line}:{spot.column}", where, message)))
        for spot, where, message in ordered[:_MOST_LINES]
    ]
    if len(ordered) > _MOST_LINES:
        lines.append(f"{path}: and {len(ordered) - _MOST_LINES} more mistakes")
    return MatrixFileError("\n".join(_printable(line) for line in lines))


def _unreadable(path: Path, message: str) -> MatrixFileError:
    return MatrixFileError(_printable(f"{path}: {message}"))


def _printable(line: str) -> str:
    """Return a line that no text of the file can break, colour or lengthen."""
    safe = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )
    return safe if len(safe) <= _LONGEST_LINE else f"{safe[:_LONGEST_LINE]}..."
