"""Fixtures and options of all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrixci.util.invocation import VARIABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-snapshots",
        action="store_true",
        help="write the snapshots instead of comparing with them; review the diff afterwards",
    )


@pytest.fixture
def same_as(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return a function that compares a text with its stored snapshot."""
    refresh = bool(request.config.getoption("--refresh-snapshots"))

    def compare(path: Path, text: str) -> None:
        if refresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        stored = path.read_bytes().decode("utf-8")
        assert text == stored, "if the new text is right, run pytest with --refresh-snapshots"

    return compare


@pytest.fixture(autouse=True)
def called_as_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make messages print commands as for the installed program, also under nox."""
    monkeypatch.setenv(VARIABLE, "matrixci")
