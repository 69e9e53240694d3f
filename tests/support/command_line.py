"""The command line, run in the tests' own process."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrixci.cli import main as cli


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


def run_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    *arguments: str,
) -> Done:
    """Run a command in a folder; it must tell what it has to tell in plain words."""
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
        patch.setattr("shutil.which", lambda _: None)
        patch.setattr(signal, "signal", lambda *_: None)  # the tests' own stays
        patch.setattr(sys, "argv", ["matrixci", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err, printed.err
    code = caught.value.code
    return Done(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)
