"""Validate every example of matrix.yaml on the pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from matrixci.matrix.loader import load_matrix

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
OF_WORKFLOWS: Final = {"jobs", "matrix"}  # keys of the other examples: workflows and their jobs
REST: Final = {
    "subject": "transformers",
    "axes": {
        "python": ["3.10", "3.12"],
        "numpy": {"1.x": {"requires": "numpy<2"}, "2.x": {"requires": "numpy>=2"}},
        "device": {"cpu": {"torch-backend": "cpu"}, "cuda": {"gpu": True}},
    },
}


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each block of YAML but those of workflows, with its page."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            document = yaml.safe_load(block)
            if isinstance(document, dict) and not OF_WORKFLOWS & {*document}:
                yield page.name, document


EXAMPLES: Final = list(examples())


def test_examples_are_found() -> None:
    assert {"tutorial.md", "release-readiness.md", "add-an-axis.md"} <= {
        name for name, _ in EXAMPLES
    }


@pytest.mark.parametrize(("page", "document"), EXAMPLES)
def test_each_example_is_valid(page: str, document: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(yaml.safe_dump({**REST, **document}), encoding="utf-8")
    assert load_matrix(file).axes, page
