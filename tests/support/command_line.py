"""Run commands in the process of the tests."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrixci.cli import main as cli


@dataclass(frozen=True, kw_only=True)
class Done:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def run_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    *arguments: str,
) -> Done:
    """Run a command in a folder without an engine, and check that it prints no traceback."""
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
        patch.setattr("shutil.which", lambda _: None)
        patch.setattr(signal, "signal", lambda *_: None)  # keep the handlers of pytest
        patch.setattr(sys, "argv", ["matrixci", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err, printed.err
    code = caught.value.code
    return Done(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)
