"""The JSON Schemas in matrixci/schema, for editors and other programs.

`python -m matrixci.schemas` regenerates them.
"""

import json
from pathlib import Path
from typing import Final

from matrixci.fanout.plan import Plan
from matrixci.matrix.definition import Matrix
from matrixci.model import CellResult, Run
from matrixci.verdict.judged import JudgedRun

SCHEMA_FOLDER: Final = Path(__file__).parent / "schema"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return file name to text of every schema."""
    data = {
        "matrix.schema.json": Matrix.model_json_schema(mode="validation"),
        "cell-result.schema.json": CellResult.model_json_schema(mode="serialization"),
        # As it is read: omitted fields of a check have defaults.
        "report.schema.json": JudgedRun.model_json_schema(mode="validation"),
        "plan.schema.json": Plan.model_json_schema(mode="serialization"),
        "run.schema.json": Run.model_json_schema(mode="serialization"),
    }
    return {
        name: json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
        for name, schema in data.items()
    }


def write_schemas(folder: Path = SCHEMA_FOLDER) -> None:
    """Write every schema into a folder, which is created if necessary.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
