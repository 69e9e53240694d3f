import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrixci.util.invocation import called

AddProgram = Callable[[str, str], None]
Refuse = Callable[[str], list[str]]
Serve = Callable[..., str]

INSTALL = called("matrix", "--install-engine")
START_IT = f"Start one, or run: {INSTALL}"
HINT = "The address is set by DOCKER_HOST; without it, this machine's engine is used."


def test_podman_is_rejected_by_name(serve: Serve, refused: Refuse) -> None:
    about = {
        "Version": "4.3.1",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.24",
        "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}],
    }
    host = serve(version=(200, about))
    first, second = refused(host)
    assert first.startswith(f"The container engine at {host} is Podman 4.3.1. It has no BuildKit")
    assert second.startswith("Use Docker Engine 23.0 or newer")
    assert second.endswith("matrixci matrix --install-engine")


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "22.06.0-beta.0", "1.13.1", "5.4.2"])
def test_old_engine_is_reported(serve: Serve, refused: Refuse, version: str) -> None:
    host = serve(version)
    first, second = refused(host)
    assert first.startswith(f"The container engine at {host} is version {version}; 23.0 or newer ")
    assert second == f"Upgrade it; on Debian and Ubuntu: {INSTALL}"


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("left", ["nothing", "a file", "a socket"])
def test_stopped_or_missing_engine_is_reported(
    programs: AddProgram,
    refused: Refuse,
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
        message = f"A container engine is installed but not running ({path})."
    else:
        message = f"No container engine is installed on this machine ({path})."
    assert refused(f"unix://{path}") == [message, START_IT]


def test_socket_without_permission_is_reported(
    monkeypatch: pytest.MonkeyPatch, refused: Refuse, tmp_path: Path
) -> None:
    # Root may open any socket, so the refusal is faked.
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    path = tmp_path / "docker.sock"
    assert refused(f"unix://{path}") == [
        f"This user has no permission to use the container engine's socket {path}.",
        "Join its group (sudo usermod -aG docker $USER, then log in again), or run as root.",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any socket")
def test_socket_of_another_user_is_reported(serve: Serve, refused: Refuse) -> None:
    host = serve()
    Path(host.removeprefix("unix://")).chmod(0)
    assert "has no permission" in refused(host)[0]


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
def test_invalid_answer_is_reported(serve: Serve, refused: Refuse, answer: tuple[int, Any]) -> None:
    host = serve(version=answer)
    first, *_, last = refused(host)
    assert first.startswith(f"No container engine answers at {host}: ")
    assert last == START_IT


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:9", "http://127.0.0.1:9"])
def test_unreachable_remote_engine_is_reported(refused: Refuse, host: str) -> None:
    first, last = refused(host)
    assert first.startswith(f"No container engine answers at {host}: the connection is refused (")
    assert last == f"Start it there, and check that it listens at that port. {HINT}"


@pytest.mark.parametrize("host", ["what is this", "ftp://host.example", "tcp://"])
def test_invalid_address_is_reported(refused: Refuse, host: str) -> None:
    first, *_, last = refused(host)
    assert first.startswith(f"No container engine answers at {host}: ")
    assert last == HINT


def test_socket_without_a_path_is_reported(refused: Refuse) -> None:
    assert refused("unix://")[-1] == START_IT


@pytest.mark.usefixtures("programs")
def test_missing_docker_command_is_reported(serve: Serve, refused: Refuse) -> None:
    assert refused(serve()) == [
        "No docker command on PATH.",
        f"Install it, or run: {INSTALL}",
    ]


@pytest.mark.parametrize("status", [1, 125])
def test_missing_buildx_is_reported(
    serve: Serve,
    programs: AddProgram,
    refused: Refuse,
    status: int,
) -> None:
    programs("docker", f"echo \"docker: 'buildx' is not a docker command.\" >&2; exit {status}")
    assert refused(serve()) == [
        "The docker command has no buildx plugin, which builds the images.",
        f"Install docker-buildx (or docker-buildx-plugin), or run: {INSTALL}",
    ]
