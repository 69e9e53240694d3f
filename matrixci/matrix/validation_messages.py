"""Pydantic's errors about matrix.yaml in plain words: what is wrong, and what to write."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from matrixci.matrix.axes import AxisValue
from matrixci.matrix.definition import Base, Limits, Matrix
from matrixci.matrix.gates import Gates
from matrixci.matrix.mistakes import KEY, TYPE, Mistake, Path
from matrixci.matrix.validators import begins_with_operator
from matrixci.matrix.yaml_document import Document, Place, quote
from matrixci.model import KnownIssue
from matrixci.util.text import listed, nearest

_TEXT: Final = "text"
_AT_THE_TOP: Final = "keys there, of which subject and axes are needed"
_AS_WRITTEN: Final = frozenset({"text", "a number"})  # 0x1F or 1:30: no decimal number
_DATE: Final = "a date, such as 2027-06-30"
_EXPECTED: Final = {
    "string_type": _TEXT,
    "tuple_type": "a list (lines that begin with -)",
    "dict_type": "a mapping (lines of key: value)",
    "model_type": "a mapping (lines of key: value)",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
}


def in_words(error: ValidationError, document: Document) -> list[Mistake]:
    """Return each mistake once, at its path in the document."""
    errors = error.errors(include_url=False, include_input=False)
    meant = {(*path[:-1], near) for path, near in _misspelt(errors)}
    expected: dict[Path, list[str]] = {}
    mistakes = []
    for each in errors:
        path = document.trace(each["loc"])
        if (words := _EXPECTED.get(each["type"])) is not None:
            expected.setdefault(path, []).append(words)
        elif each["type"] != "missing" or each["loc"] not in meant:
            mistakes.append(_mistake(each))
    types = [_wrong_type(path, words, document.places[path]) for path, words in expected.items()]
    return [*types, *mistakes]


def _misspelt(errors: list[ErrorDetails]) -> Iterator[tuple[Path, str]]:
    for each in errors:
        path = each["loc"]
        if each["type"] == "extra_forbidden" and (near := nearest(str(path[-1]), _keys(path[:-1]))):
            yield path, near


def _mistake(error: ErrorDetails) -> Mistake:
    path, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            path, message = (*path, KEY), _unknown_key(path)
        case "missing":
            message = f'the key "{path[-1]}" is missing; write it'
        case "greater_than":
            message = f"write a number over {context['gt']:g}"
        case "greater_than_equal":
            message = f"write {context['ge']:g} or a higher number"
        case "enum":
            message = f"write {_unquoted(context)}"
        case "value_error":
            message = str(context["error"])
        case kind if kind == TYPE:
            message = context["text"]
        case _:
            message = f"not valid: {error['msg']}"
    return Mistake(path=path, message=message)


def _unquoted(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "")


def _wrong_type(path: Path, expected: list[str], place: Place) -> Mistake:
    if _TEXT in expected and place.needs_quotes:
        return Mistake(path=path, message=quote(place.source, place.reading))
    words = " or ".join(dict.fromkeys(expected))
    found = f'"{place.source}"' if place.reading in _AS_WRITTEN else place.reading
    match path:
        case ():
            message = f"{place.reading} at the top; write {_AT_THE_TOP}"
        case ("axes", _):
            message = f'write each value as a key, such as "3.12":, not {found}'
        case _ if place.reading == "nothing":
            message = f"nothing is written here; write {words}, or take the key out"
        case _:
            message = f"write {words}, not {found}"
    return Mistake(path=path, message=message)


def _unknown_key(path: Path) -> str:
    key, keys = str(path[-1]), _keys(path[:-1])
    if begins_with_operator(key):
        return 'in braces a comma begins a new key; put "numpy>=1.26,<2" in quotes'
    near = nearest(key, keys)
    question = f'did you mean "{near}"?' if near else f"the keys here are {listed(keys)}"
    return f"unknown key; {question}"


def _keys(path: Path) -> list[str]:
    """Return the known keys of the mapping at a path."""
    model: type[BaseModel]
    match path:
        case ("axes", _, _):
            model = AxisValue
        case ("base",):
            model = Base
        case ("limits",):
            model = Limits
        case ("gates",):
            model = Gates
        case ("known-issues", _):
            model = KnownIssue
        case _:
            model = Matrix
    return [field.alias or name for name, field in model.model_fields.items()]
