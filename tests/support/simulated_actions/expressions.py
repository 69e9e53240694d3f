"""Evaluate the expressions that occur in the workflow files as GitHub does."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>==|!=|&&|\|\||[!().,]))"
)
_INSIDE: Final = re.compile(r"\$\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
_WORDS: Final = {"true": True, "false": False, "null": None}
STATUS: Final = frozenset({"always", "success", "failure", "cancelled"})


class ExpressionError(Exception):
    """An expression that is not supported."""


def interpolate(text: str, contexts: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a value of a workflow file with its expressions evaluated.

    If the text is a single expression, its value is returned; otherwise a string.
    """
    whole = _INSIDE.fullmatch(text.strip())
    if whole:
        return evaluate(whole[1], contexts)
    return _INSIDE.sub(lambda found: as_text(evaluate(found[1], contexts)), text)


def evaluate(source: str, contexts: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the value of an expression.

    Args:
        source: The expression without its delimiters.
        contexts: Contexts and status functions by name.

    Raises:
        ExpressionError: The expression is not supported, or a context is missing.
    """
    return _Parser(source, contexts).parse()


def names_in(source: str) -> set[str]:
    """Return the names of the contexts and functions in an expression."""
    found, before = set(), ""
    for kind, text in _tokens(source):
        if kind == "name" and before != ".":
            found.add(text)
        before = text
    return found


def inside(text: str) -> list[str]:
    """Return the expressions in a text."""
    return _INSIDE.findall(text)


def as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() | int():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            return value
        case _:
            return "Array" if isinstance(value, list) else "Object"


def is_true(value: object) -> bool:
    return value not in (None, False, 0, "")


def _tokens(source: str) -> list[tuple[str, str]]:
    found, place = [], 0
    source = source.strip()
    while place < len(source):
        token = _TOKEN.match(source, place)
        if token is None or token.lastgroup is None:
            msg = f"unsupported expression: {source[place:]!r} in {source!r}"
            raise ExpressionError(msg)
        found.append((token.lastgroup, token[token.lastgroup]))
        place = token.end()
    return found


class _Parser:
    def __init__(self, source: str, contexts: Mapping[str, Any]) -> None:
        self._tokens = _tokens(source)
        self._contexts = contexts
        self._source = source
        self._place = 0

    def parse(self) -> Any:  # noqa: ANN401
        value = self._either()
        if self._place != len(self._tokens):
            raise self._error()
        return value

    def _error(self) -> ExpressionError:
        return ExpressionError(f"unsupported expression: {self._source!r}")

    def _peek(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _take(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._place += 1
        return True

    def _either(self) -> Any:  # noqa: ANN401
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value if is_true(value) else other
        return value

    def _both(self) -> Any:  # noqa: ANN401
        value = self._compared()
        while self._take("&&"):
            other = self._compared()
            value = other if is_true(value) else value
        return value

    def _compared(self) -> Any:  # noqa: ANN401
        value = self._single()
        while self._peek() in {"==", "!="}:
            equal = self._take("==")
            if not equal:
                self._take("!=")
            value = _equal(value, self._single()) is equal
        return value

    def _single(self) -> Any:  # noqa: ANN401
        if self._take("!"):
            return not is_true(self._single())
        if self._take("("):
            value = self._either()
            if not self._take(")"):
                raise self._error()
            return value
        if self._place >= len(self._tokens):
            raise self._error()
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        if kind != "name":
            raise self._error()
        return self._named(text)

    def _named(self, name: str) -> Any:  # noqa: ANN401
        if name in _WORDS:
            return _WORDS[name]
        return self._call(name) if self._take("(") else self._access(name)

    def _access(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._contexts:
            msg = f"no context {name} in {self._source!r}"
            raise ExpressionError(msg)
        value = self._contexts[name]
        while self._take("."):
            key = self._tokens[self._place][1]
            self._place += 1
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def _call(self, name: str) -> Any:  # noqa: ANN401
        arguments = []
        while not self._take(")"):
            arguments.append(self._either())
            self._take(",")
        function: Callable[..., Any] | None = _FUNCTIONS.get(name)
        if name in STATUS:
            function = self._contexts.get(f"{name}()")
        if function is None:
            msg = f"no function {name} in {self._source!r}"
            raise ExpressionError(msg)
        return function(*arguments)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    if type(one) is type(other):
        return one == other
    return _number(one) == _number(other)


def _number(value: object) -> float:
    match value:
        case None:
            return 0
        case bool() | int() | float():
            return float(value)
        case str():
            try:
                return float(value or 0)
            except ValueError:
                return math.nan
        case _:
            return math.nan


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "startsWith": lambda text, begin: (
        as_text(text).casefold().startswith(as_text(begin).casefold())
    ),
    "toJSON": lambda value: json.dumps(value, indent=2),
    "fromJSON": json.loads,
}
