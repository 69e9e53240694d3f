"""YAML text as plain data that remembers where everything is written.

Only plain data is made, no object of any tag; what YAML would silently read as something else
than the user wrote (3.10 as 3.1, `on` as true, one of two equal keys) is a mistake here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from matrixci.mistakes import KEY, Mistake, Path

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 50_000  # with every alias written out

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final = {
    "null": "nothing",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "timestamp": "text",
    "str": "text",
    "value": "text",
}
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9_]{0,39})(\.[0-9_]{0,40})?")
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
    r"while (?:scanning|parsing) a tag": "a value that begins with ! goes in quotes",
    r"while scanning a directive": "a line can't begin with %; put the text in quotes",
    r"escape (?:sequence|character)": "a backslash in double quotes is an escape; use single quotes",
    r"expected the node content": "a value is missing here; write one, in quotes where it is text",
    r"expected '<document start>'": (
        "this doesn't go on from what is above; write key: value, all keys in one column"
    ),
    r"expected a single document": "a second document begins here; write one, without --- between",
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


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a value and its key are written, and what YAML takes the value for."""

    key: Spot
    value: Spot
    source: str  # as written, empty for lists and mappings
    reading: str
    needs_quotes: bool  # to be text


@dataclass(frozen=True, kw_only=True)
class Document:
    """The data of a file, where each value is written, and what was wrong in the reading."""

    data: object
    places: Mapping[Path, Place]
    mistakes: tuple[Located, ...]

    def trace(self, path: Path) -> Path:
        """Return the part of a path that is in the text, steps that aren't left out."""
        traced: Path = ()
        for step in path:
            if (*traced, step) in self.places:
                traced = (*traced, step)
        return traced

    def locate(self, mistake: Mistake) -> Located:
        """Return a mistake with its place in the text, the nearest where its own isn't written."""
        path = self.trace(mistake.path)
        place = self.places[path]
        spot = place.key if mistake.path[-1:] == (KEY,) else place.value
        return Located(spot, dotted(path), mistake.message)


def dotted(path: Path) -> str:
    """Return a path as it is shown: axes.numpy.1.x.requires[0]."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def quote(source: str, reading: str) -> str:
    """Return the advice for what must be text and isn't read as text."""
    taken = "a number" if reading == f"the number {source}" else reading
    return f'write "{source}", in quotes: YAML reads {source} as {taken}'


def read_document(text: str) -> Document:
    """Read the text of one YAML document.

    Raises:
        YamlError: it is no YAML, is nested too deeply, or its aliases expand to too much.
    """
    try:
        loader = _Loader(text)
    except ReaderError as error:
        before = text[: error.position]
        spot = Spot(before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"the character U+{ord(text[error.position]):04X} can't be here; take it out"
        raise YamlError(spot, message) from error
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except (ValueError, OverflowError) as error:
        spot = Spot(loader.line + 1, loader.column + 1)
        raise YamlError(spot, f"an escape that is no character ({error}); write another") from error
    reader = _Reader()
    start = yaml.Mark(name="", index=0, line=0, column=0, buffer=None, pointer=0)
    empty = ScalarNode(f"{_TAG}null", "", start)
    data = reader.read(empty if node is None else node, (), None)
    return Document(data=data, places=reader.places, mistakes=tuple(reader.mistakes))


def _syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    spot = Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)
    problem = " ".join(filter(None, (error.context, error.problem)))
    for pattern, words in _SYNTAX.items():
        if found := re.search(pattern, problem):
            return YamlError(spot, words.format(*found.groups()))
    return YamlError(spot, f"not YAML: {problem}")


class _Loader(yaml.SafeLoader):
    """Composes nodes down to a bounded depth, so that no text can exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            spot = Spot(1, 1) if parent is None else _spot(parent)
            raise YamlError(spot, f"nested deeper than {MAX_DEPTH} levels; a matrix has 5")
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Makes plain data from nodes; notes the places and the mistakes on the way."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.mistakes: list[Located] = []

    def read(self, node: Node, path: Path, key: Spot | None) -> object:
        self._bound(node, path)
        kind = node.tag.removeprefix(_TAG)
        spot = _spot(node)
        source, reading = "", "a list" if isinstance(node, SequenceNode) else "a mapping"
        if isinstance(node, ScalarNode):
            source, reading = node.value, _reading(kind, node.value)
        self.places[path] = Place(
            key=key or spot,
            value=spot,
            source=source,
            reading=reading,
            needs_quotes=kind in {"bool", "int", "float"},
        )
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self.read(each, (*path, at), None) for at, each in enumerate(node.value)]
        if isinstance(node, ScalarNode) and kind in _WORDS:
            value = _value(kind, node.value)
            return self._text(value, spot, path) if isinstance(value, str) else value
        advice = "put a value that begins with ! in quotes" if source or node.tag[:1] == "!" else ""
        self._add(spot, path, f"{node.tag} is a YAML tag, and no tag is read here; {advice}")
        return None

    def _bound(self, node: Node, path: Path) -> None:
        if len(path) > MAX_DEPTH or len(self.places) > MAX_VALUES:
            message = f"over {MAX_VALUES} values, or endlessly many, with aliases written out; write fewer"
            raise YamlError(_spot(node), message)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        data: dict[str, object] = {}
        for key, value in node.value:
            spot = _spot(key)
            if not isinstance(key, ScalarNode):
                self._add(spot, path, "a key is a list or a mapping; put a key in braces in quotes")
                continue
            name = self._text(key.value, spot, path)
            below = (*path, name)
            if name in data:
                lines = f"on line {self.places[below].key.line} and on line {spot.line}"
                self._add(spot, below, f"written twice, {lines}; take one out")
            elif self._is_key(key, below):
                data[name] = self.read(value, below, spot)
        return data

    def _is_key(self, key: ScalarNode, path: Path) -> bool:
        """Tell whether there is a key to go on with; note what is wrong with it."""
        kind = key.tag.removeprefix(_TAG)
        match kind:
            case "str" | "timestamp" | "value":
                return True
            case "bool" | "int" | "float":
                self._add(_spot(key), path, quote(key.value, _reading(kind, key.value)))
                return True
            case "null":
                message = "a key is missing before the colon; write one"
            case "merge":
                message = "merging with << is not read here; write the keys out"
            case _:
                message = f"{key.tag} is a YAML tag, and no tag is read here; take it out"
        self._add(_spot(key), path, message)
        return False

    def _text(self, value: str, spot: Spot, path: Path) -> str:
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            self._add(spot, path, "half of a character (a surrogate); write the whole one")
            return value.encode(errors="replace").decode()
        return value

    def _add(self, spot: Spot, path: Path, message: str) -> None:
        self.mistakes.append(Located(spot, dotted(path), message))


def _spot(node: Node) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1)


def _value(kind: str, source: str) -> object:
    """Return what a plain value stands for; text where that isn't sure."""
    if kind == "null":
        return None
    if kind == "bool":
        return yaml.SafeLoader.bool_values.get(source.lower(), source)
    if kind in {"int", "float"} and (found := _DECIMAL.fullmatch(source)):
        return int(source) if found[2] is None else float(source)
    return source


def _reading(kind: str, source: str) -> str:
    value = _value(kind, source)
    if isinstance(value, bool):
        return str(value).lower()
    return f"the number {value}" if isinstance(value, int | float) else _WORDS.get(kind, "a tag")
