"""Connect to the container engine, and explain why it does not answer or is not supported."""

import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
from docker.errors import DockerException

import docker
from matrixci.engine.endpoint import Endpoint
from matrixci.engine.ssh_tunnel import Tunnel, open_tunnel
from matrixci.errors import EngineError
from matrixci.util.invocation import called
from matrixci.util.subprocesses import run_process

_OLDEST: Final = 23  # the first that builds with BuildKit
_CONNECTIONS: Final = 64
# Error of the SDK for a remote engine, its cause, and what to do about it.
_CAUSES: Final = (
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        "its certificate is not accepted",
        "It must be signed by ca.pem in {folder} and issued for this host name.",
    ),
    (
        re.compile(r"HTTP request to an HTTPS server"),
        "it requires TLS",
        "Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with the certificates.",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER|record layer failure|RECORD_LAYER"),
        "it does not use TLS at that port",
        "Unset DOCKER_TLS_VERIFY, or use the port for TLS (usually 2376).",
    ),
    (
        re.compile(r"Connection refused"),
        "the connection is refused",
        "Start it there, and check that it listens at that port.",
    ),
    (
        re.compile(r"Name or service not known|NameResolutionError|nodename nor servname"),
        "its host name cannot be resolved",
        "Check the spelling.",
    ),
    (
        re.compile(r"(?i)timed out|No route to host|Network is unreachable"),
        "it is unreachable",
        "Check that the host is up and that no firewall blocks the port.",
    ),
)
# An engine rejects a client certificate only after the handshake, with varying errors.
_REJECTED: Final = (
    re.compile(r"(?i)alert|EOF occurred|connection reset|connection aborted|broken pipe"),
    "it closed the connection, as it does if it does not accept this client's certificate",
    "cert.pem in {folder} must be signed by an authority that the engine trusts (--tlscacert).",
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A connection to an engine that answers."""

    client: docker.DockerClient
    environment: Mapping[str, str]
    """The environment in which the docker command reaches the same engine."""


def connect(endpoint: Endpoint) -> Connection:
    """Connect to an engine; a tunnel through ssh stays open until this process ends.

    Raises:
        EngineError: it does not answer, is too old, not supported, or not permitted.
    """
    if endpoint.is_local:
        _try_socket(Path(endpoint.host.removeprefix("unix://")))
    tunnel = open_tunnel(endpoint.host) if endpoint.host.startswith("ssh://") else None
    reached = tunnel.host if tunnel else endpoint.host
    tls = endpoint.certificates.config(_CONNECTIONS) if endpoint.certificates else False
    try:
        client = docker.DockerClient(base_url=reached, tls=tls, max_pool_size=_CONNECTIONS)
        answer = client.version()
        version = str(answer["Version"])
    except (DockerException, requests.RequestException, KeyError) as error:
        raise EngineError(_unanswered(endpoint, error, tunnel)) from error
    _refuse_podman(endpoint.host, answer)
    major = re.match(r"\d+", version)  # a development build of the engine has none
    if major and int(major[0]) < _OLDEST:
        msg = (
            f"The container engine at {endpoint.host} is version {version}; {_OLDEST}.0 or newer "
            "is needed, which builds with BuildKit.\n"
            f"Upgrade it; on Debian and Ubuntu: {called('matrix', '--install-engine')}"
        )
        raise EngineError(msg)
    return Connection(client=client, environment=endpoint.environment(reached))


def _refuse_podman(host: str, version: Mapping[str, Any]) -> None:
    """Refuse Podman, which implements Docker's API without the part for BuildKit.

    Raises:
        EngineError: the engine is Podman.
    """
    names = [str(each.get("Name", "")) for each in version.get("Components") or ()]
    podman = next((name for name in names if name.startswith("Podman")), None)
    if podman is None:
        return
    msg = (
        f"The container engine at {host} is Podman {version['Version']}. It has no BuildKit API, "
        "which is needed to build images, so it is not supported yet.\n"
        f"Use Docker Engine {_OLDEST}.0 or newer. On Debian and Ubuntu, unset DOCKER_HOST and run: "
        f"{called('matrix', '--install-engine')}"
    )
    raise EngineError(msg)


def _unanswered(endpoint: Endpoint, error: Exception, tunnel: Tunnel | None) -> str:
    """Return the message about an engine that does not answer."""
    first = f"No container engine answers at {endpoint.host}: "
    if endpoint.is_local:
        return f"{first}{error}\n{_start_hint()}"
    hint = f"The address is set by {endpoint.named_by}; without it, this machine's engine is used."
    if tunnel:
        # Only ssh reports errors of the remote socket.
        return f"{first}{tunnel.last_error() or error}\nStart it there, for this user. {hint}"
    folder = endpoint.certificates.folder if endpoint.certificates else None
    for pattern, cause, advice in [*_CAUSES, *([_REJECTED] if folder else [])]:
        if pattern.search(str(error)):
            return f"{first}{cause} ({error}).\n{advice.format(folder=folder)} {hint}"
    return f"{first}{error}\n{hint}"


def _try_socket(path: Path) -> None:
    """Connect to the socket of a local engine, which may be missing, stopped or not permitted.

    Raises:
        EngineError: the engine does not answer; the message has the reason.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(10)
            probe.connect(str(path))
    except PermissionError as error:
        msg = (
            f"This user has no permission to use the container engine's socket {path}.\n"
            "Join its group (sudo usermod -aG docker $USER, then log in again), or run as root."
        )
        raise EngineError(msg) from error
    except OSError as error:
        if shutil.which("dockerd"):
            msg = f"A container engine is installed but not running ({path}).\n{_start_hint()}"
        else:
            msg = f"No container engine is installed on this machine ({path}).\n{_start_hint()}"
        raise EngineError(msg) from error


async def buildx_version(environment: Mapping[str, str]) -> str:
    """Return the version of the docker command's buildx plugin.

    Args:
        environment: the environment of the command.

    Raises:
        EngineError: the docker command or its plugin is missing.
    """
    try:
        done = await run_process(["docker", "buildx", "version"], env=environment)
    except FileNotFoundError as error:
        install = called("matrix", "--install-engine")
        msg = f"No docker command on PATH.\nInstall it, or run: {install}"
        raise EngineError(msg) from error
    if done.exit_status != 0:
        msg = (
            "The docker command has no buildx plugin, which builds the images.\n"
            "Install docker-buildx (or docker-buildx-plugin), or run: "
            f"{called('matrix', '--install-engine')}"
        )
        raise EngineError(msg)
    return done.stdout.split()[1] if len(done.stdout.split()) > 1 else done.stdout.strip()


def _start_hint() -> str:
    return f"Start one, or run: {called('matrix', '--install-engine')}"
