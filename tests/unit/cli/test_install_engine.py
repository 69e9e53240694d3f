from pathlib import Path

import pytest
from cli_runs import Command

from matrixci.cli import install_engine as cli_install_engine
from matrixci.errors import ExitCode


def test_no_engine_is_installed_if_a_remote_one_is_configured(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.sh").write_text('echo "$@" >asked\n', encoding="utf-8")
    (tmp_path / "test_x.py").touch()
    monkeypatch.setattr(cli_install_engine, "data_folder", lambda _: tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    done = command("matrix", "--install-engine")
    assert done.code == ExitCode.INFRASTRUCTURE
    assert done.err[0] == "--install-engine has no effect: DOCKER_HOST names tcp://127.0.0.1:9"
    assert not (tmp_path / "asked").exists()


def test_failed_installation_of_an_engine_is_reported(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.sh").write_text('echo "$@" >asked; exit 1\n', encoding="utf-8")
    (tmp_path / "test_x.py").touch()
    monkeypatch.setattr(cli_install_engine, "data_folder", lambda _: tmp_path)
    done = command("matrix", "--install-engine")
    assert (done.code, done.err) == (
        ExitCode.INFRASTRUCTURE,
        ["The container engine could not be installed."],
    )
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "install\n"
