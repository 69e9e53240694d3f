import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_runs import MATRIX, Command, Done, answer

from matrixci.cli import main as cli
from matrixci.cli import matrix as cli_matrix
from matrixci.execution.settings import Settings
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import Cell


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return a function that runs the command line in a folder with a matrix.yaml."""
    (tmp_path / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests' own stays

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["matrixci", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        code = caught.value.code
        return Done(
            code=code if isinstance(code, int) else 0,
            out=[line.rstrip() for line in printed.out.splitlines()],
            err=[line.rstrip() for line in printed.err.splitlines()],
        )

    return run


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes the ids of the cells of which a plan is made."""
    ids: list[str] = []

    async def resolve(
        _: Settings, of: Sequence[Cell], architecture: str
    ) -> dict[str, Lock | Unsatisfiable]:
        assert architecture
        ids.extend(cell.id for cell in of)
        return {cell.id: answer(cell) for cell in of}

    monkeypatch.setattr(cli_matrix, "resolve_only", resolve)
    return ids
