"""Tests of the words that `nox -s lint` rejects."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DIALECT = (REPOSITORY / ".ci/dialect.txt").read_text(encoding="utf-8")
WORDS = [line.partition("->")[0] for line in DIALECT.splitlines()]


def rejected_lines(text: str, path: Path) -> list[int]:
    """Return the numbers of the lines in which codespell rejects a word."""
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["codespell", str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert "ERROR" not in done.stderr
    return [int(line.split(":")[1]) for line in done.stdout.splitlines()]


def test_every_word_of_the_dialect_is_rejected(tmp_path: Path) -> None:
    sentences = [f"# The run {word} the cell." for word in WORDS]
    found = rejected_lines("\n".join(sentences), tmp_path / "module.py")
    assert set(found) == set(range(1, len(WORDS) + 1))


@pytest.mark.parametrize(
    ("text", "is_rejected"),
    [
        ("Run the cells and write a report.", False),
        ("Run the cells and wirte a report.", True),  # codespell:ignore wirte
        ("the beholder", False),
        (WORDS[0].upper(), True),
    ],
)
def test_whole_words_and_common_misspellings_are_rejected(
    tmp_path: Path, text: str, *, is_rejected: bool
) -> None:
    assert bool(rejected_lines(text, tmp_path / "module.py")) == is_rejected
