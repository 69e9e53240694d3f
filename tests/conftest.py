"""What all tests share: snapshots, written anew by one flag."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrixci.util.invocation import VARIABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-snapshots",
        action="store_true",
        help="write the snapshots anew instead of comparing with them; then look at the diff",
    )


@pytest.fixture
def same_as(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return what holds a text against the file that it was stored in."""
    refresh = bool(request.config.getoption("--refresh-snapshots"))

    def compare(path: Path, text: str) -> None:
        if refresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        stored = path.read_bytes().decode("utf-8")
        assert text == stored, "is that right? then run pytest with --refresh-snapshots"

    return compare


@pytest.fixture(autouse=True)
def called_as_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let messages name the installed program's commands, however the tests were started."""
    monkeypatch.setenv(VARIABLE, "matrixci")
