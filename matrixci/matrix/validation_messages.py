"""Convert pydantic's errors about matrix.yaml into readable messages."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from matrixci.matrix.axes import AxisValue
from matrixci.matrix.definition import Base, Matrix
from matrixci.matrix.gates import Gates
from matrixci.matrix.limits import Limits
from matrixci.matrix.mistakes import KEY, TYPE, KeyPath, Mistake
from matrixci.matrix.renamed_keys import new_key
from matrixci.matrix.validators import begins_with_operator
from matrixci.matrix.yaml_document import Document, Place, quote
from matrixci.model import KnownIssue
from matrixci.util.text import listed, nearest

_TEXT: Final = "text"
_TOP_LEVEL: Final = "a mapping with the keys subject and axes"
_AS_WRITTEN: Final = frozenset({"text", "a number"})  # "a number" as in 0x1F or 1:30
_DATE: Final = "a date, such as 2027-06-30"
_EXPECTED: Final = {
    "string_type": _TEXT,
    "tuple_type": "a list (lines that start with -)",
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


def readable_mistakes(error: ValidationError, document: Document) -> list[Mistake]:
    """Return the mistakes of an error, each once and at its path in the document."""
    errors = error.errors(include_url=False, include_input=False)
    misspelled = {(*path[:-1], near) for path, near in _misspelled(errors)}
    expected: dict[KeyPath, list[str]] = {}
    mistakes = []
    for each in errors:
        path = document.trace(each["loc"])
        if (words := _EXPECTED.get(each["type"])) is not None:
            expected.setdefault(path, []).append(words)
        elif each["type"] != "missing" or each["loc"] not in misspelled:
            mistakes.append(_mistake(each))
    types = [_wrong_type(path, words, document.places[path]) for path, words in expected.items()]
    return [*types, *mistakes]


def _misspelled(errors: list[ErrorDetails]) -> Iterator[tuple[KeyPath, str]]:
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
            message = f'the key "{path[-1]}" is missing'
        case "greater_than":
            message = f"write a number greater than {context['gt']:g}"
        case "greater_than_equal":
            message = f"write {context['ge']:g} or a higher number"
        case "enum":
            message = f"write {_unquoted(context)}"
        case "value_error":
            message = str(context["error"])
        case kind if kind == TYPE:
            message = context["text"]
        case _:
            message = f"invalid: {error['msg']}"
    return Mistake(path=path, message=message)


def _unquoted(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "")


def _wrong_type(path: KeyPath, expected: list[str], place: Place) -> Mistake:
    if _TEXT in expected and place.needs_quotes:
        return Mistake(path=path, message=quote(place.source, place.reading))
    words = " or ".join(dict.fromkeys(expected))
    found = f'"{place.source}"' if place.reading in _AS_WRITTEN else place.reading
    match path:
        case ():
            message = f"the file contains {place.reading}; write {_TOP_LEVEL}"
        case ("axes", _):
            message = f'write a list such as ["3.12"] or a mapping of values, not {found}'
        case _ if place.reading == "nothing":
            message = f"the value is missing; write {words}, or remove the key"
        case _:
            message = f"write {words}, not {found}"
    return Mistake(path=path, message=message)


def _unknown_key(path: KeyPath) -> str:
    key, keys = str(path[-1]), _keys(path[:-1])
    if begins_with_operator(key):
        return 'a comma in braces starts a new key; write "numpy>=1.26,<2" in quotes'
    if renamed := new_key(path):
        return f'unknown key; it is now called "{renamed}"'
    near = nearest(key, keys)
    hint = f'did you mean "{near}"?' if near else f"the keys here are {listed(keys)}"
    return f"unknown key; {hint}"


def _keys(path: KeyPath) -> list[str]:
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
