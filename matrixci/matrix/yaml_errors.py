"""What can be wrong with YAML as such, in plain words and with its place."""

import re
from typing import Final, NamedTuple

import yaml
from yaml.reader import ReaderError

# Parts of PyYAML's messages, the most telling first.
_SYNTAX: Final = {
    r"found character '\\t'": "a tab; indent with spaces, YAML takes no tabs",
    r"found character '(.)' that cannot": "a value can't begin with {0}; put it in quotes",
    r"mapping values are not allowed": (
        "a second colon on the line, or a wrong indentation; put a value that holds a colon and a "
        "blank in quotes"
    ),
    r"could not find expected ':'": "a key without its colon; write key: value",
    r"expected <block end>, but found ':'": "a key is missing before the colon; write one",
    r"expected <block end>, but found '<scalar>'": (
        "text after a closing quote or bracket; put all of the value in one pair of quotes"
    ),
    r"expected <block end>, but found '([\]},])'": "{0} without an opening bracket; take it out",
    r"expected <block end>": "the indentation doesn't fit; begin in the column of the lines above",
    r"expected ',' or '([\]}])'": "a comma is missing, or the bracket is never closed; write {0}",
    r"end of stream": "a quote or a bracket is opened and never closed; close it",
    r"undefined alias": "a value that begins with * is an alias to YAML; put it in quotes",
    r"while scanning an (?:alias|anchor)": "a value that begins with * or & goes in quotes",
    r"while scanning a block scalar": "a value that begins with > or | goes in quotes",
    r"while (?:scanning|parsing) a tag|undefined tag": "a value that begins with ! goes in quotes",
    r"while scanning a directive": "a line can't begin with %; put the text in quotes",
    r"escape (?:sequence|character)": "a backslash begins an escape; put it in single quotes",
    r"expected the node content": "a value is missing here; write one, in quotes where it is text",
    r"expected '<document start>'": (
        "this doesn't go on from what is above; write key: value, all keys in one column"
    ),
    r"expected a single document": "a second document begins here; write one, without --- between",
    r"mapping keys are not allowed": "a ? doesn't fit here; put text that begins with ? in quotes",
    r"sequence entries are not allowed": "a list item doesn't fit here; begin it on its own line",
}


class Spot(NamedTuple):
    """A place in the text; lines and columns count from 1."""

    line: int
    column: int


class Located(NamedTuple):
    """A mistake with its place; sorts by the place."""

    spot: Spot
    path: str
    message: str


class YamlError(Exception):
    """The text is no YAML, or too much of it, from this place on."""

    def __init__(self, spot: Spot, message: str) -> None:
        super().__init__(message)
        self.located = Located(spot, "", message)


def character_error(error: ReaderError, text: str) -> YamlError:
    """Return the error for a character that no YAML may hold."""
    before = text[: error.position]
    spot = Spot(before.count("\n") + 1, len(before) - before.rfind("\n"))
    number = f"U+{ord(text[error.position]):04X}"
    return YamlError(spot, f"the character {number} can't be here; take it out")


def syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    """Return the error for what YAML's grammar doesn't allow."""
    mark = error.problem_mark or error.context_mark
    spot = Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)
    problem = " ".join(filter(None, (error.context, error.problem)))
    for pattern, words in _SYNTAX.items():
        if found := re.search(pattern, problem):
            return YamlError(spot, words.format(*found.groups()))
    return YamlError(spot, f"not YAML: {problem}")
