"""Readable messages for YAML syntax errors."""

import re
from typing import Final, NamedTuple

import yaml
from yaml.reader import ReaderError

# Patterns of PyYAML's messages, the most specific first.
_SYNTAX: Final = {
    r"found character '\\t'": "YAML does not allow tabs; indent with spaces",
    r"found character '(.)' that cannot": "a value cannot start with {0}; write it in quotes",
    r"mapping values are not allowed": (
        "a second colon on the line, or wrong indentation; write a value that contains a colon and "
        "a space in quotes"
    ),
    r"could not find expected ':'": "a key without a colon; write key: value",
    r"expected <block end>, but found ':'": "the key before the colon is missing",
    r"expected <block end>, but found '<scalar>'": (
        "text after a closing quote or bracket; write the whole value in one pair of quotes"
    ),
    r"expected <block end>, but found '([\]},])'": "{0} without an opening bracket; remove it",
    r"expected <block end>": "wrong indentation; start in the same column as the lines above",
    r"expected ',' or '([\]}])'": "a comma or the closing {0} is missing",
    r"end of stream": "a quote or bracket is not closed",
    r"undefined alias": "unknown alias; write a value that starts with * in quotes",
    r"while scanning an (?:alias|anchor)": "write a value that starts with * or & in quotes",
    r"while scanning a block scalar": "write a value that starts with > or | in quotes",
    r"while (?:scanning|parsing) a tag|undefined tag": "write a value that starts with ! in quotes",
    r"while scanning a directive": "a line cannot start with %; write the text in quotes",
    r"escape (?:sequence|character)": "a backslash starts an escape; use single quotes",
    r"expected the node content": "a value is missing",
    r"expected '<document start>'": (
        "unexpected text; write key: value, with all keys in one column"
    ),
    r"expected a single document": "a second document starts here; write only one, without ---",
    r"mapping keys are not allowed": "unexpected ?; write a text that starts with ? in quotes",
    r"sequence entries are not allowed": "unexpected list item; start it on its own line",
}


class Spot(NamedTuple):
    """A position in the text; lines and columns start at 1."""

    line: int
    column: int


class Located(NamedTuple):
    """A mistake with its position; sorts by position."""

    spot: Spot
    path: str
    message: str


class YamlError(Exception):
    """The text is not valid YAML, or exceeds a limit, at this position."""

    def __init__(self, spot: Spot, message: str) -> None:
        super().__init__(message)
        self.located = Located(spot, "", message)


def character_error(error: ReaderError, text: str) -> YamlError:
    """Return the error for a character that YAML does not allow."""
    before = text[: error.position]
    spot = Spot(before.count("\n") + 1, len(before) - before.rfind("\n"))
    number = f"U+{ord(text[error.position]):04X}"
    return YamlError(spot, f"the character {number} is not allowed; remove it")


def syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    """Return the error for a syntax error."""
    mark = error.problem_mark or error.context_mark
    spot = Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)
    problem = " ".join(filter(None, (error.context, error.problem)))
    for pattern, words in _SYNTAX.items():
        if found := re.search(pattern, problem):
            return YamlError(spot, words.format(*found.groups()))
    return YamlError(spot, f"invalid YAML: {problem}")
