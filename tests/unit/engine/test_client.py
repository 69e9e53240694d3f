import asyncio
import hashlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from factories import an_engine

from matrixci.engine.client import Engine, GpuWay
from matrixci.engine.endpoint import Certificates, engine_endpoint
from matrixci.errors import EngineError, ExitCode
from matrixci.model import EngineFacts
from matrixci.util.invocation import called

START_IT = "Start one, or run: matrixci matrix --install-engine"
INSTALL = called("matrix", "--install-engine")
ELSEWHERE = "DOCKER_HOST names it; without that, this machine's own is used."
INFO = {
    "ServerVersion": "26.1.5",
    "Architecture": "x86_64",
    "NCPU": 2,
    "MemTotal": 2**34,
    "Driver": "overlay2",
}


class _Server(socketserver.ThreadingUnixStreamServer):
    answers: Mapping[str, tuple[int, object]]
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: who only looked whether somebody answers is gone by now."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        status, answer = self.server.answers.get(name, (404, {"message": "no such page"}))
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts an engine of a few answers, and gives its address."""
    servers: list[tuple[_Server, threading.Thread]] = []

    def start(release: str = "26.1.5", **answers: tuple[int, object]) -> str:
        path = tmp_path / f"engine{len(servers)}.sock"
        server = _Server(str(path), _Handler)
        about = {"Version": release, "ApiVersion": "1.45", "MinAPIVersion": "1.24"}
        server.answers = {"version": (200, about), "info": (200, INFO), **answers}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"unix://{path}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that puts a program on PATH, where nothing else is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return put


WITH_BUILDX = "echo github.com/docker/buildx v0.13.1 788433953af10f2a698f5c07611dddce2e08c7a0"


def connected(monkeypatch: pytest.MonkeyPatch, host: str) -> EngineFacts:
    monkeypatch.setenv("DOCKER_HOST", host)

    async def connect() -> EngineFacts:
        engine = await Engine.connect()
        engine._client.close()
        return engine.facts

    return asyncio.run(connect())


def refused(monkeypatch: pytest.MonkeyPatch, host: str) -> list[str]:
    with pytest.raises(EngineError) as caught:
        connected(monkeypatch, host)
    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    return str(caught.value).splitlines()


# An engine that answers


def test_an_engine_that_answers_is_described(
    serve: Serve, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("docker", WITH_BUILDX)
    assert connected(monkeypatch, serve()) == an_engine(buildx="v0.13.1")


@pytest.mark.parametrize(
    ("info", "unenforced"),
    [
        ({}, ()),
        ({"MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True}, ()),
        ({"MemoryLimit": False, "PidsLimit": True, "CpuCfsQuota": True}, ("memory",)),
        ({"PidsLimit": False, "CpuCfsQuota": False}, ("pids", "cpus")),
        ({"MemoryLimit": True, "SwapLimit": False}, ("swap",)),
        ({"MemoryLimit": True, "CgroupDriver": "none"}, ("memory", "swap", "pids", "cpus")),
        ({"SecurityOptions": None}, ()),
        ({"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"]}, ()),
        ({"SecurityOptions": ["name=seccomp,profile=/etc/docker/own.json"]}, ()),
        ({"SecurityOptions": ["name=seccomp,profile=unconfined"]}, ("seccomp",)),
        ({"SecurityOptions": ["name=rootless"]}, ("seccomp",)),
    ],
)
def test_limits_that_an_engine_would_drop_are_known(
    serve: Serve,
    programs: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    info: dict[str, object],
    unenforced: tuple[str, ...],
) -> None:
    programs("docker", WITH_BUILDX)
    facts = connected(monkeypatch, serve(info=(200, {**INFO, **info})))
    assert facts.unenforced == unenforced


def test_the_security_options_of_an_engine_are_recorded(
    serve: Serve, programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("docker", WITH_BUILDX)
    options = ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]
    facts = connected(monkeypatch, serve(info=(200, {**INFO, "SecurityOptions": options})))
    assert facts.security == ("seccomp", "rootless", "cgroupns")


def test_podman_is_named_and_not_told_to_be_upgraded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {
        "Version": "4.3.1",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.24",
        "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}],
    }
    host = serve(version=(200, about))
    first, second = refused(monkeypatch, host)
    assert first.startswith(f"The container engine at {host} is Podman 4.3.1. It has no BuildKit")
    assert second.startswith("Use Docker Engine 23.0 or newer")
    assert second.endswith("matrixci matrix --install-engine")


def test_the_docker_command_meets_the_same_engine(
    serve: Serve,
    programs: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    programs("docker", f'echo "$DOCKER_HOST $*" >{tmp_path}/asked; {WITH_BUILDX}')
    host = serve()
    connected(monkeypatch, host)
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked == f"{host} buildx version\n"


@pytest.mark.parametrize("version", ["23.0.0", "29.0", "100.1.2-ce", "27.0.0-rc.1", "dev", ""])
def test_an_engine_that_is_new_enough_is_taken(
    serve: Serve,
    programs: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    programs("docker", WITH_BUILDX)
    assert connected(monkeypatch, serve(version)).buildx == "v0.13.1"


# An engine that doesn't


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "22.06.0-beta.0", "1.13.1", "5.4.2"])
def test_an_engine_that_is_too_old_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    host = serve(version)
    first, second = refused(monkeypatch, host)
    assert first.startswith(f"The container engine at {host} is version {version}; 23.0 or newer ")
    assert second == f"Upgrade it; on Debian and Ubuntu: {INSTALL}"


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("left", ["nothing", "a file", "a socket"])
def test_an_engine_that_does_not_listen_is_told(
    programs: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    left: str,
    *,
    installed: bool,
) -> None:
    path = tmp_path / "docker.sock"
    if left == "a file":
        path.touch()
    if left == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    if installed:
        programs("dockerd", "")
        told = f"A container engine is installed, and is not running ({path})."
    else:
        told = f"There is no container engine on this machine ({path})."
    assert refused(monkeypatch, f"unix://{path}") == [told, START_IT]


def test_a_socket_that_is_not_open_to_this_user_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Root may open any, so the refusal is made up.
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    path = tmp_path / "docker.sock"
    assert refused(monkeypatch, f"unix://{path}") == [
        f"The container engine's socket {path} is not open to this user.",
        "Join its group (sudo usermod -aG docker $USER, then log in again), or run as root.",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any socket")
def test_a_socket_with_the_mode_of_another_user_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = serve()
    Path(host.removeprefix("unix://")).chmod(0)
    assert "is not open to this user" in refused(monkeypatch, host)[0]


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"message": "the engine is starting"}),
        (503, b"<html>not here</html>"),
        (200, b"not JSON"),
        (200, b""),
        (200, {"ApiVersion": "1.45"}),
    ],
)
def test_what_is_no_engine_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any]
) -> None:
    host = serve(version=answer)
    first, *_, last = refused(monkeypatch, host)
    assert first.startswith(f"No container engine answers at {host}: ")
    assert last == START_IT


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_remote_engine_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    first, last = refused(monkeypatch, host)
    assert first.startswith(f"No container engine answers at {host}: the connection is refused (")
    assert last == f"Start it there, and see that it listens at that port. {ELSEWHERE}"


@pytest.mark.parametrize("host", ["what is this", "ftp://host.example", "tcp://"])
def test_an_address_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    first, *_, last = refused(monkeypatch, host)
    assert first.startswith(f"No container engine answers at {host}: ")
    assert last == ELSEWHERE


def test_a_socket_without_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, "unix://")[-1] == START_IT


# The docker command


@pytest.mark.usefixtures("programs")
def test_without_a_docker_command_it_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, serve()) == [
        "There is no docker command on PATH.",
        f"Install it, or run: {INSTALL}",
    ]


@pytest.mark.parametrize("status", [1, 125])
def test_a_docker_command_without_buildx_is_told(
    serve: Serve,
    programs: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    programs("docker", f"echo \"docker: 'buildx' is not a docker command.\" >&2; exit {status}")
    assert refused(monkeypatch, serve()) == [
        "The docker command has no buildx, which builds the images.",
        f"Install docker-buildx (or docker-buildx-plugin), or run: {INSTALL}",
    ]


# Where the engine listens


def a_context(folder: Path, name: str, host: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}), encoding="utf-8")
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    meta.write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}), encoding="utf-8"
    )


def test_the_environment_goes_before_the_context(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    a_context(tmp_path, "remote", "tcp://engine.example:2376")
    assert engine_endpoint().host == "tcp://engine.example:2376"
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert engine_endpoint().host == "unix:///elsewhere.sock"


@pytest.mark.parametrize(
    "config",
    [None, "{}", "{broken", '{"currentContext": "gone"}', '{"currentContext": "unreadable"}'],
)
def test_without_a_context_it_is_the_usual_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str | None
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    a_context(tmp_path, "unreadable", "tcp://engine.example:2376")
    (tmp_path / "config.json").unlink()
    next(tmp_path.rglob("meta.json")).write_text("{broken", encoding="utf-8")
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    assert engine_endpoint().host == "unix:///var/run/docker.sock"


def with_certificates(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.pem").touch()


def test_a_context_has_its_own_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")  # which is said of DOCKER_HOST alone
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    a_context(tmp_path, "far", "tcp://engine.example:2376")
    assert engine_endpoint().certificates is None
    folder = tmp_path / "contexts/tls" / hashlib.sha256(b"far").hexdigest() / "docker"
    with_certificates(folder, "ca")
    endpoint = engine_endpoint()
    assert endpoint.named_by == "the docker context far"
    assert endpoint.certificates == Certificates(folder=folder, verify=True)
    environment = endpoint.environment()
    assert environment["DOCKER_HOST"] == "tcp://engine.example:2376"
    assert environment["DOCKER_CERT_PATH"] == str(folder)
    assert environment["DOCKER_TLS_VERIFY"] == "1"


def test_a_context_named_by_the_environment_goes_before_the_chosen_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    a_context(tmp_path, "far", "ssh://engine.example")
    (tmp_path / "config.json").unlink()  # as `docker context create` leaves it
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    endpoint = engine_endpoint()
    assert (endpoint.host, endpoint.is_local) == ("ssh://engine.example", False)
    assert "DOCKER_CONTEXT" not in endpoint.environment()
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(EngineError, match="names no context that can be read: gone"):
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
def test_certificates_are_used_as_the_docker_command_does(
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
    ("names", "told"), [(["cert", "key"], "there is no"), (["ca", "cert"], "both are needed")]
)
def test_certificates_that_are_missing_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: list[str], told: str
) -> None:
    with_certificates(tmp_path / "certs", *names)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "certs"))
    assert told in refused(monkeypatch, "tcp://127.0.0.1:9")[0]


# Through ssh


@pytest.mark.parametrize(
    "address",
    ["ssh://", "ssh://:22", "ssh://host:port", "ssh://host:0", "ssh://me:pw@host", "ssh://h?q=1"],
)
def test_an_address_that_ssh_can_not_take_is_told(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    (told,) = refused(monkeypatch, address)
    assert told.endswith("write ssh://USER@HOST, or ssh://USER@HOST:PORT")


@pytest.mark.usefixtures("programs")
def test_without_an_ssh_command_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = refused(monkeypatch, "ssh://engine.example")
    assert told.startswith("There is no ssh command on PATH")


def test_what_ssh_is_given(
    programs: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs("ssh", f'echo "$@" >{tmp_path}/asked; echo "some warning" >&2; echo refused >&2')
    first, second, third = refused(monkeypatch, "ssh://me@engine.example:2222/run/my%20sock")
    assert first == "No way to the engine at ssh://me@engine.example:2222/run/my%20sock: refused"
    assert second.startswith("See whether the host is up")
    assert third == "Try: ssh -p 2222 -l me engine.example docker version"
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked.endswith(":/run/my sock -p 2222 -l me -- engine.example cat\n")
    assert "BatchMode=yes" in asked


def test_every_way_to_a_gpu_has_its_request() -> None:
    driver, cdi = (way.request() for way in GpuWay)
    assert (driver["Count"], driver["Capabilities"]) == (-1, [["gpu"]])
    assert (cdi["Driver"], cdi["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])
