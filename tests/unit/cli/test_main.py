import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from cli_runs import MATRIX, Command

from matrixci.cli import run_settings as cli_run_settings
from matrixci.errors import ExitCode
from matrixci.execution import execute as running


def test_version_is_printed(command: Command) -> None:
    assert command("--version").out == [f"matrixci {version('matrixci')}"]


def test_commands_are_listed_in_the_order_of_use(command: Command) -> None:
    lines = [line.strip("│ ").partition(" ")[0] for line in command("--help").out]
    every = [name for name in lines if name in {"matrix", "show", "reproduce", "history", "clean"}]
    assert every == ["matrix", "show", "reproduce", "history", "clean"]


@pytest.mark.parametrize("words", [[], ["matrix"], ["plan"], ["show"], ["history"]])
def test_a_flag_is_shown_without_a_value(command: Command, words: list[str]) -> None:
    assert not any("bool" in line for line in command(*words, "--help").out)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["matrix", "--help"], ["show", "--help"]])
def test_help_needs_no_matrix(command: Command, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "matrix.yaml").unlink()
    assert any("Usage: " in line for line in command(*arguments).out)


@pytest.mark.parametrize("where", ["the matrix", "the subject", "the run"])
def test_interrupt_has_its_own_exit_code(
    command: Command, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    name = {"the matrix": "load_matrix", "the subject": "resolve_subject", "the run": "running"}
    if where == "the run":
        monkeypatch.setattr(running, "execute", interrupt)
    else:
        monkeypatch.setattr(cli_run_settings, name[where], interrupt)
    assert command("matrix").code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_process_and_its_children(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho $$ >>{tmp_path}/pids\nexec sleep 60\n", encoding="utf-8")
    uv.chmod(0o755)
    starter = f"""
import uv; uv.find_uv_bin = lambda: {str(uv)!r}
import sys; sys.argv = ["matrixci", "matrix", "--plan", "--cell", "py3.12-numpy1-cuda"]
from matrixci.cli.main import main
main()
"""
    argv = [sys.executable, "-c", starter]
    process = subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 20
        while not (tmp_path / "pids").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in err
    assert out == ""
    for pid in (tmp_path / "pids").read_text(encoding="utf-8").split():
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text(encoding="utf-8").rpartition(") ")[2][0] in "ZX"


def test_the_module_is_the_command_line_too(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "matrixci", "show"]
    done = subprocess.run(
        argv, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"}, capture_output=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.decode().startswith("No runs yet in ")
