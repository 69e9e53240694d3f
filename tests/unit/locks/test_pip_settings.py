import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrixci.errors import UsageError
from matrixci.locks.index_settings import build_secrets, index_environment, resolver_environment
from matrixci.locks.pip_settings import configured_settings, pip_environment
from matrixci.locks.uv_settings import ignored_settings

INDEX, OTHER = "http://index.example/simple", "http://other.example/simple"
CONFIG = f"""
[global]
index_url = {INDEX}
extra-index-url =
    http://one.example/simple
    file:///srv/simple
constraint = constraints.txt
[wheel]
pre = true
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty home folder, and remove all settings of this machine."""
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "XDG_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_an_index_in_pip_conf_is_used_by_resolver_and_builds(home: Path) -> None:
    write(home / ".config/pip/pip.conf", CONFIG)
    settings = index_environment()
    assert settings["UV_DEFAULT_INDEX"] == settings["PIP_INDEX_URL"] == INDEX
    assert settings["UV_INDEX"] == settings["PIP_EXTRA_INDEX_URL"] == "http://one.example/simple"


def test_variables_override_configuration_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / ".config/pip/pip.conf", CONFIG)
    monkeypatch.setenv("UV_DEFAULT_INDEX", OTHER)
    assert index_environment()["UV_DEFAULT_INDEX"] == OTHER
    monkeypatch.setenv("PIP_INDEX_URL", OTHER)
    assert index_environment()["PIP_INDEX_URL"] == OTHER
    assert pip_environment()["PIP_INDEX_URL"] == OTHER


@pytest.mark.parametrize("stronger", [".config/pip/pip.conf", "prefix/pip.conf", "named/pip.conf"])
def test_the_file_with_the_highest_precedence_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, stronger: str
) -> None:
    write(home / "xdg/pip/pip.conf", CONFIG)
    write(home / ".pip/pip.conf", CONFIG)
    path = write(home / stronger, f"[install]\nindex-url = {OTHER}\n")
    if stronger.startswith("named"):
        monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    assert configured_settings()["PIP_INDEX_URL"] == OTHER


def test_pip_config_file_can_disable_configuration_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / ".config/pip/pip.conf", CONFIG)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert configured_settings() == {}


@pytest.mark.parametrize("name", ["PIP_PRE", "PIP_CONSTRAINT", "PIP_NO_BINARY", "PIP_TARGET"])
def test_pip_builds_with_index_settings_only(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(home / ".config/pip/pip.conf", CONFIG)
    monkeypatch.setenv(name, "1")
    environment = pip_environment()
    assert name not in environment
    assert environment["PIP_CONFIG_FILE"] == os.devnull
    assert environment["PIP_INDEX_URL"] == INDEX
    assert environment["HOME"] == str(home)


def test_ignored_settings_of_pip_conf_are_listed(home: Path) -> None:
    path = write(home / ".config/pip/pip.conf", CONFIG)
    assert ignored_settings(home) == [f"constraint in {path}", f"pre in {path}"]
    write(path, "[global]\nindex-url = file:///srv/simple\n")
    assert ignored_settings(home) == [f"index-url in {path}"]
    assert index_environment() == {}


def test_certificates_of_pip_are_used_by_resolver_and_builds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    bundle, uvs = write(home / "ca.pem", ""), write(home / "uv.pem", "")
    write(home / ".config/pip/pip.conf", f"[global]\ncert = {bundle}\n")
    assert resolver_environment()["SSL_CERT_FILE"] == str(bundle)
    assert build_secrets(home)["ca"] == bundle
    monkeypatch.setenv("SSL_CERT_FILE", str(uvs))
    assert resolver_environment()["SSL_CERT_FILE"] == str(uvs)


def test_the_real_pip_reads_the_same_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the interpreter's own prefix, and this machine's files
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    write(home / ".config/pip/pip.conf", CONFIG.partition("[wheel]")[0])
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    read = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        variable = f"PIP_{name.partition('.')[2].upper().replace('-', '_')}"
        read[variable] = " ".join(str(ast.literal_eval(value)).split())
    assert read.pop("PIP_CONSTRAINT") == "constraints.txt"
    assert configured_settings().items() <= read.items()
    assert configured_settings()["PIP_INDEX_URL"] == INDEX


def test_an_invalid_pip_conf_is_reported(home: Path) -> None:
    write(home / ".config/pip/pip.conf", "index-url = no section\n")
    with pytest.raises(UsageError, match=r"pip\.conf cannot be read"):
        configured_settings()
