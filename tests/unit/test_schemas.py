import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrixci.matrix.definition import Matrix
from matrixci.schemas import SCHEMA_FOLDER, schemas, write_schemas

ROOT = Path(__file__).parents[2]
MATRIX_SCHEMA = json.loads(schemas()["matrix.schema.json"])


@pytest.mark.parametrize("name", schemas())
def test_the_committed_schema_is_that_of_the_code(name: str) -> None:
    committed = (SCHEMA_FOLDER / name).read_text(encoding="utf-8")
    # As data: versions of pydantic differ in how they write a number.
    assert json.loads(committed) == json.loads(schemas()[name]), "run: python -m matrixci.schemas"


def test_no_other_schema_is_committed() -> None:
    assert {path.name for path in SCHEMA_FOLDER.iterdir()} == set(schemas())


def contents(folder: Path) -> dict[str, Any]:
    """Return the parsed JSON files of a folder by name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def test_outdated_and_missing_schemas_are_written(tmp_path: Path) -> None:
    (tmp_path / "matrix.schema.json").write_text("{}", encoding="utf-8")
    write_schemas(tmp_path)
    assert contents(tmp_path) == contents(SCHEMA_FOLDER)


def test_folder_for_the_schemas_is_created(tmp_path: Path) -> None:
    write_schemas(tmp_path / "a/schema")
    assert contents(tmp_path / "a/schema") == contents(SCHEMA_FOLDER)


def test_the_real_file_names_its_schema() -> None:
    first = (ROOT / "matrix.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert (ROOT / first.removeprefix("# yaml-language-server: $schema=")).is_file()


def properties(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each property with its path, from a schema and all within it."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((f"{path}/{name}", each) for name, each in value.items())
            yield from properties(value, f"{path}/{key}")
    if isinstance(schema, list):
        for each in schema:
            yield from properties(each, path)


@pytest.mark.parametrize(("path", "each"), list(properties(MATRIX_SCHEMA)))
def test_an_editor_can_tell_what_each_key_is_for(path: str, each: dict[str, Any]) -> None:
    assert each["description"], path
    assert "_" not in path.rpartition("/")[2]


def test_the_schema_knows_the_keys_of_the_real_file_and_no_others() -> None:
    data = yaml.safe_load((ROOT / "matrix.yaml").read_text(encoding="utf-8"))
    definitions = MATRIX_SCHEMA["$defs"]

    assert list(MATRIX_SCHEMA["properties"]) == [
        field.alias for field in Matrix.model_fields.values()
    ]
    assert set(data) == set(MATRIX_SCHEMA["properties"])
    assert set(data["limits"]) == set(definitions["Limits"]["properties"])
    assert set(data["base"]) == set(definitions["Base"]["properties"])
    assert set(data["gates"]) == set(definitions["Gates"]["properties"])
    mappings = [each for each in definitions.values() if each["type"] == "object"]
    assert all(each["additionalProperties"] is False for each in mappings)
    assert MATRIX_SCHEMA["required"] == ["subject", "axes"]
    assert MATRIX_SCHEMA["properties"]["axes"]["required"] == ["python"]
