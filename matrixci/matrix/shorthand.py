"""The short forms of matrix.yaml, written out: lists of values, and keys for one's own use."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from matrixci.matrix.mistakes import Path
from matrixci.matrix.yaml_document import Document, Place, dotted, quote
from matrixci.matrix.yaml_errors import Located

OWN_KEY: Final = "x-"
"""What the top-level keys begin with that matrixci ignores; they may hold anchors."""


def written_out(document: Document) -> Document:
    """Return a document without short forms: an axis with a list of values becomes a mapping."""
    if not isinstance(document.data, Mapping):
        return document
    data = {key: value for key, value in document.data.items() if not key.startswith(OWN_KEY)}
    mistakes = [each for each in document.mistakes if not each.path.startswith(OWN_KEY)]
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
    path: Path, listed: list[object], places: dict[Path, Place], mistakes: list[Located]
) -> dict[str, object]:
    """Return the values of an axis by name; each keeps the place at which it is listed."""
    values: dict[str, object] = {}
    for index, name in enumerate(listed):
        place = places[(*path, index)]
        if not isinstance(name, str):
            message = (
                quote(place.source, place.reading)
                if place.needs_quotes
                else "not the name of a value; write names, or a mapping of names to settings"
            )
            mistakes.append(Located(place.value, dotted((*path, index)), message))
            name = place.source or f"value{index}"  # noqa: PLW2901 - so that the rest is checked
        elif name in values:
            message = f'"{name}" is listed twice; take one out'
            mistakes.append(Located(place.value, dotted((*path, index)), message))
        values[name] = {}
        places.setdefault((*path, name), place)
    return values
