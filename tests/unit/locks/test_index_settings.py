import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomllib

from matrixci.errors import UsageError
from matrixci.locks.index_settings import build_secrets, index_environment, recorded_settings
from matrixci.locks.uv_settings import ignored_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all index settings of this machine."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith(("UV_", "PIP_", "SSL_", "NETRC")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


PASSED = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_CORP_USERNAME",
    "UV_INDEX_CORP_PASSWORD",
    "UV_KEYRING_PROVIDER",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
]
NOT_PASSED = [
    "UV_CACHE_DIR",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
    "UV_PUBLISH_TOKEN",
    "PIP_CERT",
    "PIP_FIND_LINKS",
    "PIP_TARGET",
    "AWS_SECRET_ACCESS_KEY",
    "MY_HTTP_PROXY",
    "HTTP_PROXY_PASSWORD",
    "Http_Proxy",
    "PATH",
]


@pytest.mark.parametrize("name", PASSED)
def test_an_index_setting_is_passed_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "a value")
    assert index_environment()[name] == "a value"


@pytest.mark.parametrize("name", NOT_PASSED)
def test_other_variables_are_not_passed_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "a value")
    assert index_environment() == {}


A, B = "https://a.example/simple", "https://b.example/simple"


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({}, {}),
        ({"PIP_INDEX_URL": A}, {"UV_DEFAULT_INDEX": A}),
        ({"PIP_INDEX_URL": A, "UV_DEFAULT_INDEX": B}, {}),
        ({"PIP_INDEX_URL": A, "UV_INDEX_URL": B}, {}),
        ({"PIP_EXTRA_INDEX_URL": f"{A} {B}"}, {"UV_INDEX": f"{A} {B}"}),
        ({"PIP_EXTRA_INDEX_URL": A, "UV_INDEX": B}, {}),
        ({"PIP_EXTRA_INDEX_URL": A, "UV_EXTRA_INDEX_URL": B}, {}),
        ({"UV_DEFAULT_INDEX": A}, {"PIP_INDEX_URL": A}),
        ({"UV_INDEX_URL": A}, {"PIP_INDEX_URL": A}),
        ({"UV_DEFAULT_INDEX": f"corp={A}"}, {"PIP_INDEX_URL": A}),
        ({"UV_DEFAULT_INDEX": f"{A}?key=1"}, {"PIP_INDEX_URL": f"{A}?key=1"}),
        ({"PIP_INDEX_URL": "", "PIP_EXTRA_INDEX_URL": ""}, {}),
        ({"UV_INDEX": A}, {}),
    ],
)
def test_index_settings_of_pip_and_uv_are_translated(
    monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], added: Mapping[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert index_environment() == {**settings, **added}


def test_a_build_always_gets_a_script_of_settings(tmp_path: Path) -> None:
    secrets = build_secrets(tmp_path)
    assert secrets == {"index": tmp_path / "index.sh"}
    assert secrets["index"].read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("value", ["plain", "a b", "it's", '"$HOME"', "`id`\n; exit 1", "é%&*", ""])
def test_settings_are_quoted_for_the_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", value)
    script = build_secrets(tmp_path)["index"]
    done = subprocess.run(
        ["sh", "-c", f'. {script}; printf %s "$UV_INDEX_CORP_PASSWORD"'],
        env={},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == value


def test_the_script_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    mode = build_secrets(tmp_path)["index"].stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


CONFIG = """
prerelease = "allow"
constraint-dependencies = ["numpy<2"]

[[index]]
name = "corp"
url = "http://me:secret@corp.example/simple"

[pip]
resolution = "lowest"
index-strategy = "unsafe-best-match"
"""
INDEX = {
    "index": [{"name": "corp", "url": "http://me:secret@corp.example/simple"}],
    "index-strategy": "unsafe-best-match",
}


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_certificates_netrc_and_uv_config_are_build_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    bundle = touched(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    netrc, config = touched(home / ".netrc"), touched(home / ".config/uv/uv.toml")
    config.write_text(CONFIG)
    secrets = build_secrets(tmp_path)
    assert {name: secrets[name] for name in ("ca", "netrc")} == {"ca": bundle, "netrc": netrc}
    assert tomllib.loads(secrets["uv-config"].read_text()) == INDEX
    assert stat.S_IMODE(secrets["uv-config"].stat().st_mode) == 0o600


def test_files_named_by_variables_take_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    touched(home / ".netrc")
    touched(home / ".config/uv/uv.toml").write_text('index-url = "http://weaker.example/"')
    monkeypatch.setenv("NETRC", str(touched(tmp_path / "other-netrc")))
    monkeypatch.setenv("UV_CONFIG_FILE", str(touched(tmp_path / "other.toml")))
    (tmp_path / "other.toml").write_text(CONFIG)
    secrets = build_secrets(tmp_path)
    assert secrets["netrc"] == tmp_path / "other-netrc"
    assert tomllib.loads(secrets["uv-config"].read_text()) == INDEX


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NETRC", "UV_CONFIG_FILE"])
def test_missing_files_are_not_build_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for value in ("", str(tmp_path / "absent"), str(tmp_path)):
        monkeypatch.setenv(name, value)
        assert set(build_secrets(tmp_path)) == {"index"}


def test_a_build_can_be_told_not_to_keep_wheels(tmp_path: Path) -> None:
    assert "MATRIXCI_KEEP_WHEELS" not in build_secrets(tmp_path)["index"].read_text()
    script = build_secrets(tmp_path, keep_wheels=False)["index"].read_text()
    assert "export MATRIXCI_KEEP_WHEELS=no\n" in script


def test_recorded_settings_have_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://me:secret@index.example/simple")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "secret")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "100")
    monkeypatch.setenv("UV_HTTP_RETRIES", "5")
    touched(tmp_path / "home/.config/uv/uv.toml").write_text(CONFIG)
    recorded = recorded_settings()
    assert recorded["UV_INDEX_URL"] == "http://***@index.example/simple"
    assert {"PIP_DEFAULT_TIMEOUT", "UV_HTTP_RETRIES"} & recorded.keys() == set()
    assert "corp.example" in recorded["uv.toml"]
    assert "secret" not in str(recorded)


def test_ignored_settings_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ignored_settings(tmp_path) == []
    monkeypatch.setenv("UV_PRERELEASE", "allow")
    monkeypatch.setenv("UV_INDEX_URL", "http://index.example/simple")
    config = touched(tmp_path / "home/.config/uv/uv.toml")
    config.write_text(CONFIG)
    project = touched(tmp_path / "project/pyproject.toml")
    project.write_text('[tool.uv]\nconstraint-dependencies = ["numpy<2"]\n')
    assert ignored_settings(touched(project.parent / "deep/file").parent) == [
        "$UV_PRERELEASE",
        f"constraint-dependencies, pip.resolution, prerelease in {config}",
        f"[tool.uv] in {project}",
    ]


def test_an_invalid_configuration_file_of_uv_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = touched(tmp_path / "broken.toml")
    broken.write_text("index = [")
    monkeypatch.setenv("UV_CONFIG_FILE", str(broken))
    with pytest.raises(UsageError, match=r"broken\.toml cannot be read"):
        build_secrets(tmp_path)
