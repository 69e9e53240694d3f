"""The way to the container engine: whether it answers, and what it lacks."""

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

_OLDEST: Final = 23  # the first whose builds are BuildKit's
_CONNECTIONS: Final = 64
# What the SDK says of an engine elsewhere that doesn't answer, and what to do about it.
_CAUSES: Final = (
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        "its certificate is not accepted",
        "ca.pem in {folder} must be what signed it, and it must be made out to this very host.",
    ),
    (
        re.compile(r"HTTP request to an HTTPS server"),
        "it wants TLS",
        "Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem, key.pem.",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER|record layer failure|RECORD_LAYER"),
        "it speaks no TLS there",
        "Unset DOCKER_TLS_VERIFY, or name the port at which it does (2376 is usual).",
    ),
    (
        re.compile(r"Connection refused"),
        "the connection is refused",
        "Start it there, and see that it listens at that port.",
    ),
    (
        re.compile(r"Name or service not known|NameResolutionError|nodename nor servname"),
        "the name of its host is not known",
        "See how it is spelled.",
    ),
    (
        re.compile(r"(?i)timed out|No route to host|Network is unreachable"),
        "there is no answer",
        "See whether the host is up, and whether a firewall lies between.",
    ),
)
# It refuses only after the handshake, and what is left of that by then differs.
_BROKEN_OFF: Final = (
    re.compile(r"(?i)alert|EOF occurred|connection reset|connection aborted|broken pipe"),
    "it broke off, as it does where it doesn't accept this client's certificate",
    "cert.pem and key.pem in {folder} must be signed by what the engine trusts (--tlscacert).",
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An engine that answers."""

    client: docker.DockerClient
    environment: Mapping[str, str]
    """In which the docker command meets the same engine."""


def connect(endpoint: Endpoint) -> Connection:
    """Return the connection to an engine; one behind ssh lasts as long as this process.

    Raises:
        EngineError: none answers, it is too old, or not permitted.
    """
    if endpoint.is_local:
        _try_socket(Path(endpoint.host.removeprefix("unix://")))
    tunnel = open_tunnel(endpoint.host) if endpoint.host.startswith("ssh://") else None
    reached = tunnel.host if tunnel else endpoint.host
    tls = endpoint.certificates.config(_CONNECTIONS) if endpoint.certificates else False
    try:
        client = docker.DockerClient(base_url=reached, tls=tls, max_pool_size=_CONNECTIONS)
        told = client.version()
        version = str(told["Version"])
    except (DockerException, requests.RequestException, KeyError) as error:
        raise EngineError(_unanswered(endpoint, error, tunnel)) from error
    _refuse_others(endpoint.host, told)
    major = re.match(r"\d+", version)  # a build of the engine's own developers has none
    if major and int(major[0]) < _OLDEST:
        msg = (
            f"The container engine at {endpoint.host} is version {version}; {_OLDEST}.0 or newer "
            "is needed (its builds are BuildKit's).\n"
            f"Upgrade it; on Debian and Ubuntu: {called('matrix', '--install-engine')}"
        )
        raise EngineError(msg)
    return Connection(client=client, environment=endpoint.environment(reached))


def _refuse_others(host: str, version: Mapping[str, Any]) -> None:
    """Refuse an engine that speaks Docker's API and is another product.

    Raises:
        EngineError: it is.
    """
    names = [str(each.get("Name", "")) for each in version.get("Components") or ()]
    podman = next((name for name in names if name.startswith("Podman")), None)
    if podman is None:
        return
    msg = (
        f"The container engine at {host} is Podman {version['Version']}. It has no BuildKit API, "
        "which building the images needs, so it is not supported as an engine yet.\n"
        f"Use Docker Engine {_OLDEST}.0 or newer. On Debian and Ubuntu, unset DOCKER_HOST and run: "
        f"{called('matrix', '--install-engine')}"
    )
    raise EngineError(msg)


def _unanswered(endpoint: Endpoint, error: Exception, tunnel: Tunnel | None) -> str:
    """Return what is told where no engine answers."""
    first = f"No container engine answers at {endpoint.host}: "
    if endpoint.is_local:
        return f"{first}{error}\n{_start_it()}"
    elsewhere = f"{endpoint.named_by} names it; without that, this machine's own is used."
    if tunnel:
        # Of the socket on the other side only ssh tells.
        return f"{first}{tunnel.said() or error}\nStart it there, for this user. {elsewhere}"
    folder = endpoint.certificates.folder if endpoint.certificates else None
    for pattern, cause, advice in [*_CAUSES, *([_BROKEN_OFF] if folder else [])]:
        if pattern.search(str(error)):
            return f"{first}{cause} ({error}).\n{advice.format(folder=folder)} {elsewhere}"
    return f"{first}{error}\n{elsewhere}"


def _try_socket(path: Path) -> None:
    """Tell apart why a local engine doesn't answer: absent, stopped, or not permitted.

    Raises:
        EngineError: it doesn't answer.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(10)
            probe.connect(str(path))
    except PermissionError as error:
        msg = (
            f"The container engine's socket {path} is not open to this user.\n"
            "Join its group (sudo usermod -aG docker $USER, then log in again), or run as root."
        )
        raise EngineError(msg) from error
    except OSError as error:
        if shutil.which("dockerd"):
            msg = f"A container engine is installed, and is not running ({path}).\n{_start_it()}"
        else:
            msg = f"There is no container engine on this machine ({path}).\n{_start_it()}"
        raise EngineError(msg) from error


async def buildx_version(environment: Mapping[str, str]) -> str:
    """Return the version of the docker command's buildx, in an environment.

    Raises:
        EngineError: there is no docker command, or it has none.
    """
    try:
        done = await run_process(["docker", "buildx", "version"], env=environment)
    except FileNotFoundError as error:
        install = called("matrix", "--install-engine")
        msg = f"There is no docker command on PATH.\nInstall it, or run: {install}"
        raise EngineError(msg) from error
    if done.exit_status != 0:
        msg = (
            "The docker command has no buildx, which builds the images.\n"
            "Install docker-buildx (or docker-buildx-plugin), or run: "
            f"{called('matrix', '--install-engine')}"
        )
        raise EngineError(msg)
    return done.stdout.split()[1] if len(done.stdout.split()) > 1 else done.stdout.strip()


def _start_it() -> str:
    return f"Start one, or run: {called('matrix', '--install-engine')}"
