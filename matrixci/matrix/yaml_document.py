"""Parse YAML into plain data with the position of each value.

Tags are not supported. Where YAML would silently read something other than the user wrote (3.10
as 3.1, `on` as true, or one of two equal keys), the parser reports a mistake.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from matrixci.matrix.mistakes import KEY, KeyPath, Mistake
from matrixci.matrix.yaml_errors import Located, Spot, YamlError, character_error, syntax_error

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 50_000  # with every alias expanded

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
_READINGS: Final[Mapping[type[Node], str]] = {MappingNode: "a mapping", SequenceNode: "a list"}
_KINDS: Final[Mapping[type[Node], Collection[str]]] = {
    MappingNode: {"map"},
    SequenceNode: {"seq"},
    ScalarNode: _WORDS.keys(),
}
_DECIMAL: Final = re.compile(r"[-+]?(?:(?:0|[1-9][0-9_]{0,39})(\.[0-9]{0,40})?|(\.[0-9]{1,40}))")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Position of a value and its key in the text, and how YAML reads the value."""

    key: Spot
    value: Spot
    source: str  # as written, empty for lists and mappings
    reading: str
    needs_quotes: bool  # to be text


@dataclass(frozen=True, kw_only=True)
class Document:
    """Data of a file, with the position of each value and the mistakes found while parsing."""

    data: object
    places: Mapping[KeyPath, Place]
    mistakes: tuple[Located, ...]

    def trace(self, path: KeyPath) -> KeyPath:
        """Return a path without the steps that are not in the text."""
        traced: KeyPath = ()
        for step in path:
            if (*traced, step) in self.places:
                traced = (*traced, step)
        return traced

    def locate(self, mistake: Mistake) -> Located:
        """Return a mistake with its position, or the nearest one if its own is not in the text."""
        path = self.trace(mistake.path)
        place = self.places[path]
        spot = place.key if mistake.path[-1:] == (KEY,) else place.value
        return Located(spot, dotted(path), mistake.message)


def dotted(path: KeyPath) -> str:
    """Return a path as text, such as axes.numpy.1.x.requires[0]."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def quote(source: str, reading: str) -> str:
    """Return the message for a value that must be text but that YAML does not read as text."""
    taken = "a number" if reading == f"the number {source}" else reading
    return f'write "{source}" in quotes: YAML reads {source} as {taken}'


def parse_yaml(text: str) -> Document:
    """Parse the text of one YAML document.

    Raises:
        YamlError: the text is not valid YAML, or exceeds the limits of depth and size.
    """
    try:
        loader = _Loader(text)
    except ReaderError as error:
        raise character_error(error, text) from error
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise syntax_error(error) from error
    except (ValueError, OverflowError) as error:
        spot = Spot(loader.line + 1, loader.column + 1)
        raise YamlError(spot, "invalid escape sequence; write another one") from error
    reader = _Reader()
    start = yaml.Mark(name="", index=0, line=0, column=0, buffer=None, pointer=0)
    empty = ScalarNode(f"{_TAG}null", "", start)
    data = reader.read(empty if node is None else node, (), None)
    return Document(data=data, places=reader.places, mistakes=tuple(reader.mistakes))


class _Loader(yaml.SafeLoader):
    """Loader with a maximum depth, so that no text can exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            spot = Spot(1, 1) if parent is None else _spot(parent)
            raise YamlError(spot, f"nested deeper than {MAX_DEPTH} levels; a matrix needs 5")
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Convert nodes to plain data, and collect positions and mistakes."""

    def __init__(self) -> None:
        self.places: dict[KeyPath, Place] = {}
        self.mistakes: list[Located] = []
        self._merges = 0

    def read(self, node: Node, path: KeyPath, key: Spot | None) -> object:
        self._bound(node, path)
        spot, kind = _spot(node), node.tag.removeprefix(_TAG)
        scalar = isinstance(node, ScalarNode)
        self.places[path] = Place(
            key=key or spot,
            value=spot,
            source=node.value if scalar else "",
            reading=_reading(kind, node.value) if scalar else _READINGS[type(node)],
            needs_quotes=kind in {"bool", "int", "float"},
        )
        if kind not in _KINDS[type(node)]:
            advice = "write a value that starts with ! in quotes, or remove the tag"
            self._add(spot, path, f"YAML tags such as {node.tag} are not supported; {advice}")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(each, (*path, at), None) for at, each in enumerate(node.value)]
        value = _value(kind, node.value)
        return self._text(value, spot, path) if isinstance(value, str) else value

    def _bound(self, node: Node, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH or len(self.places) > MAX_VALUES:
            message = f"more than {MAX_VALUES} values with all aliases expanded; write fewer"
            raise YamlError(_spot(node), message)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        data: dict[str, object] = {}
        merges = [value for key, value in node.value if _is_merge(key)]
        for key, value in node.value:
            if _is_merge(key):
                continue
            spot = _spot(key)
            if not isinstance(key, ScalarNode):
                self._add(
                    spot,
                    path,
                    "a key is a list or a mapping; write keys that start with a bracket in quotes",
                )
                continue
            name = self._text(key.value, spot, path)
            below = (*path, name)
            if name in data:
                lines = f"on line {self.places[below].key.line} and on line {spot.line}"
                self._add(spot, below, f"duplicate key, {lines}; remove one")
            elif self._is_key(key, below):
                data[name] = self.read(value, below, spot)
        for merged in merges:
            for key, value in self._merged(merged, path):
                # A key of the mapping itself or of an earlier merge takes precedence.
                if key.value not in data and self._is_key(key, (*path, key.value)):
                    data[key.value] = self.read(value, (*path, key.value), _spot(key))
        return data

    def _merged(
        self, node: Node, path: KeyPath, depth: int = 0
    ) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the keys and values that << merges into a mapping."""
        self._merges += 1
        if depth > MAX_DEPTH or self._merges > MAX_VALUES:
            raise YamlError(_spot(node), "a mapping is merged into itself; write its keys instead")
        if isinstance(node, SequenceNode):
            for each in node.value:
                yield from self._merged(each, path, depth + 1)
        elif isinstance(node, MappingNode):
            own = [(key, value) for key, value in node.value if isinstance(key, ScalarNode)]
            yield from ((key, value) for key, value in own if not _is_merge(key))
            for key, value in own:
                if _is_merge(key):
                    yield from self._merged(value, path, depth + 1)
        else:
            self._add(_spot(node), path, "<< needs a mapping or a list of mappings; write an alias")

    def _is_key(self, key: ScalarNode, path: KeyPath) -> bool:
        """Return whether a key is usable, and record a mistake in it."""
        kind = key.tag.removeprefix(_TAG)
        match kind:
            case "str" | "timestamp" | "value":
                return True
            case "bool" | "int" | "float":
                self._add(_spot(key), path, quote(key.value, _reading(kind, key.value)))
                return True
            case "null":
                message = "the key before the colon is missing"
            case _:
                message = f"YAML tags such as {key.tag} are not supported; remove it"
        self._add(_spot(key), path, message)
        return False

    def _text(self, value: str, spot: Spot, path: KeyPath) -> str:
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            self._add(spot, path, "half of a surrogate pair; write the whole character")
            return value.encode(errors="replace").decode()
        return value

    def _add(self, spot: Spot, path: KeyPath, message: str) -> None:
        self.mistakes.append(Located(spot, dotted(path), message))


def _is_merge(key: Node) -> bool:
    return key.tag == f"{_TAG}merge"


def _spot(node: Node) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1)


def _value(kind: str, source: str) -> object:
    """Return the value of a plain scalar, or its text if that is ambiguous."""
    if kind == "null":
        return None
    if kind == "bool":
        return yaml.SafeLoader.bool_values.get(source.lower(), source)
    if kind in {"int", "float"} and (found := _DECIMAL.fullmatch(source)):
        digits = source.replace("_", "")
        return float(digits) if any(found.groups()) else int(digits)
    return source


def _reading(kind: str, source: str) -> str:
    value = _value(kind, source)
    if isinstance(value, bool):
        return str(value).lower()
    return f"the number {value}" if isinstance(value, int | float) else _WORDS.get(kind, "text")
