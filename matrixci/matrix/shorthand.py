"""Expand the short forms of matrix.yaml: lists of axis values, and keys that start with x-."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from matrixci.matrix.mistakes import KeyPath
from matrixci.matrix.yaml_document import Document, Place, dotted, quote
from matrixci.matrix.yaml_errors import Located

IGNORED_PREFIX: Final = "x-"
"""Prefix of top-level keys that matrixci ignores; they may contain YAML anchors."""


def expand_shorthand(document: Document) -> Document:
    """Return a document without ignored keys and with a mapping for each axis."""
    if not isinstance(document.data, Mapping):
        return document
    data = {
        key: value for key, value in document.data.items() if not key.startswith(IGNORED_PREFIX)
    }
    mistakes = [each for each in document.mistakes if not each.path.startswith(IGNORED_PREFIX)]
    places = dict(document.places)
    if isinstance(axes := data.get("axes"), Mapping):
        data["axes"] = {
            axis: _values(("axes", axis), values, places, mistakes)
            if isinstance(values, list)
            else values
            for axis, values in axes.items()
        }
    return replace(document, data=data, places=places, mistakes=tuple(mistakes))


def _values(
    path: KeyPath, listed: list[object], places: dict[KeyPath, Place], mistakes: list[Located]
) -> dict[str, object]:
    """Return the values of an axis as a mapping, each with its position in the list."""
    values: dict[str, object] = {}
    for index, name in enumerate(listed):
        place = places[(*path, index)]
        if not isinstance(name, str):
            message = (
                quote(place.source, place.reading)
                if place.needs_quotes
                else "invalid value name; write names, or a mapping of names to settings"
            )
            mistakes.append(Located(place.value, dotted((*path, index)), message))
            name = place.source or f"value{index}"  # noqa: PLW2901 - to validate the rest
        elif name in values:
            message = f'"{name}" is listed twice; remove one'
            mistakes.append(Located(place.value, dotted((*path, index)), message))
        values[name] = {}
        places.setdefault((*path, name), place)
    return values
