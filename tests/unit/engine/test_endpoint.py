import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from matrixci.engine.endpoint import Certificates, engine_endpoint
from matrixci.errors import EngineError

Refuse = Callable[[str], list[str]]


def write_context(folder: Path, name: str, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    meta.write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}), encoding="utf-8"
    )


def test_environment_overrides_the_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    write_context(tmp_path, "remote", "tcp://engine.example:2376")
    assert engine_endpoint().host == "tcp://engine.example:2376"
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert engine_endpoint().host == "unix:///elsewhere.sock"


@pytest.mark.parametrize(
    "config",
    [None, "{}", "{broken", '{"currentContext": "gone"}', '{"currentContext": "unreadable"}'],
)
def test_default_socket_without_a_context(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str | None
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    write_context(tmp_path, "unreadable", "tcp://engine.example:2376")
    (tmp_path / "config.json").unlink()
    next(tmp_path.rglob("meta.json")).write_text("{broken", encoding="utf-8")
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    assert engine_endpoint().host == "unix:///var/run/docker.sock"


def write_certificates(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.pem").touch()


def test_context_has_its_own_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")  # only applies to DOCKER_HOST
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    write_context(tmp_path, "far", "tcp://engine.example:2376")
    assert engine_endpoint().certificates is None
    folder = tmp_path / "contexts/tls" / hashlib.sha256(b"far").hexdigest() / "docker"
    write_certificates(folder, "ca")
    endpoint = engine_endpoint()
    assert endpoint.named_by == "the docker context far"
    assert endpoint.certificates == Certificates(folder=folder, verify=True)
    environment = endpoint.environment()
    assert environment["DOCKER_HOST"] == "tcp://engine.example:2376"
    assert environment["DOCKER_CERT_PATH"] == str(folder)
    assert environment["DOCKER_TLS_VERIFY"] == "1"


def test_context_in_the_environment_overrides_the_current_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    write_context(tmp_path, "far", "ssh://engine.example")
    (tmp_path / "config.json").unlink()  # as `docker context create` leaves it
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    endpoint = engine_endpoint()
    assert (endpoint.host, endpoint.is_local) == ("ssh://engine.example", False)
    assert "DOCKER_CONTEXT" not in endpoint.environment()
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(EngineError, match="the context gone, which cannot be read"):
        engine_endpoint()
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert engine_endpoint().host == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"DOCKER_CERT_PATH": "/certs"}, None),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, ("/certs", True)),
        ({"DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/certs"}, ("/certs", False)),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": "/config"}, ("/config", True)),
    ],
)
def test_certificates_follow_the_docker_command(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    expected: tuple[str, bool] | None,
) -> None:
    for name in ("DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.example:2376")
    found = engine_endpoint().certificates
    assert (found and (str(found.folder), found.verify)) == expected
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert engine_endpoint().certificates is None


@pytest.mark.parametrize(
    ("names", "message"),
    [(["cert", "key"], "does not exist"), (["ca", "cert"], "both are needed")],
)
def test_missing_certificate_is_reported(
    monkeypatch: pytest.MonkeyPatch, refused: Refuse, tmp_path: Path, names: list[str], message: str
) -> None:
    write_certificates(tmp_path / "certs", *names)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "certs"))
    assert message in refused("tcp://127.0.0.1:9")[0]
