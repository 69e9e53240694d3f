from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "checks"))

from support import claims

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    caches = (claims.cell_values, claims.subject_modules)
    monkeypatch.setattr(claims, "CHECKS", tmp_path / "checks")
    for cached in caches:
        cached.cache_clear()
    yield tmp_path / "cell.json"
    for cached in caches:
        cached.cache_clear()


def test_listed_imports_of_the_subject(cell: Path) -> None:
    cell.write_text(json.dumps({"subject": "pytest", "imports": ["pytest.fixture", "numpy.array"]}))
    assert claims.listed_entries() == ["pytest.fixture"]


def test_subject_without_listed_imports(cell: Path) -> None:
    cell.write_text(json.dumps({"subject": "pytest", "imports": []}))
    assert claims.listed_entries() == []
    assert "pytest" in claims.subject_modules()


def test_subject_without_a_cell(cell: Path) -> None:
    assert not cell.exists()
    assert claims.subject() == "transformers"


def test_failure_has_evidence_and_a_script() -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        claims.refute(expected="one", seen="two", chain=["a", "b"], script="print(1)")
    assert str(caught.value) == (
        "expected: one\n"
        "seen: two\n"
        "imported by:\n"
        "  a\n"
        "  b\n"
        "to reproduce:\n"
        "python - <<'EOF'\n"
        "print(1)\n"
        "EOF"
    )


def test_long_texts_and_chains_are_cut_in_the_middle() -> None:
    assert claims.bounded("ab" * 1000, most=4) == "ab\n... 1996 characters omitted ...\nab"
    chain = [str(number) for number in range(12)]
    assert claims.middle_out(chain) == ["0", "1", "... 2 more ...", *chain[4:]]
