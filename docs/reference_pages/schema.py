"""Tables of the keys of a JSON Schema, one for each of its objects."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from matrixci.schemas import SCHEMA_FOLDER
from reference_pages.markdown import code, table

_UNITS: Final = (("GiB", 2**30), ("MiB", 2**20))
_REF: Final = "#/$defs/"
_NULL: Final = {"type": "null"}
_RULE: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

Schema = Mapping[str, Any]


def schema_tables(name: str) -> str:
    """Return the tables of a schema: its own keys first, then those of the objects it uses.

    Args:
        name: of the schema's file, without `.schema.json`.
    """
    schema = json.loads((SCHEMA_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    return "\n\n".join([_keys(schema, schema), *_definitions(schema)])


def _definitions(schema: Schema) -> Iterator[str]:
    for name, each in schema.get("$defs", {}).items():
        title = _title(name, each)
        text = each.get("description", "").partition("\n\n")[0]
        keys = _keys(each, schema) if "properties" in each else _values(each)
        yield f"### {title}\n\n{text}\n\n{keys}"


def _title(name: str, definition: Schema) -> str:
    return str(definition.get("title", name)).lstrip("_")


def _keys(schema: Schema, root: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (code(key), _meaning(value, root, required=key in required))
        for key, value in schema["properties"].items()
    ]
    return table(("key", "meaning"), rows)


def _meaning(value: Schema, root: Schema, *, required: bool) -> str:
    """Return the type and the default of a key on one line, and its description on the next."""
    default = "required" if required else _default(value)
    first = ", ".join(filter(None, (f"*{_type(value, root)}*", default)))
    description = value.get("description", "")
    return f"{first}<br>{description[:1].upper()}{description[1:]}" if description else first


def _link(title: str) -> str:
    return f"[{title}](#{title.lower().replace(' ', '-')})"


def _values(schema: Schema) -> str:
    return "Values: " + ", ".join(code(str(value)) for value in schema.get("enum", ())) + "."


def _type(value: Schema, root: Schema) -> str:
    if "$ref" in value:
        name = str(value["$ref"]).removeprefix(_REF)
        return _link(_title(name, root["$defs"][name]))
    if options := value.get("anyOf"):
        named = dict.fromkeys(_type(each, root) for each in options if each != _NULL)
        return "size" if _is_size(value) else " or ".join(named)
    return _plain_type(value, root)


def _plain_type(value: Schema, root: Schema) -> str:
    match value:
        case {"type": "array"}:
            return f"list of {_type(value.get('items', {}), root)}"
        case {"type": "object", "additionalProperties": inner} if inner == _RULE:
            return "rule"
        case {"type": "object", "additionalProperties": dict(inner)}:
            return f"mapping to {_type(inner, root)}"
        case {"enum": list(values)}:
            return ", ".join(code(each) for each in values)
        case {"format": "date"}:
            return "date"
        case _:
            return str(value.get("type", "any"))


def _is_size(value: Schema) -> bool:
    return any("KiB" in each.get("pattern", "") for each in value.get("anyOf", ()))


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None or default in ("", [], {}):
        return ""
    if isinstance(default, dict):  # the keys of its own table have the defaults
        return ""
    if _is_size(value):
        unit, size = next(each for each in _UNITS if default % each[1] == 0)
        return f"default `{default // size} {unit}`"
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"default `{json.dumps(default)}`"
