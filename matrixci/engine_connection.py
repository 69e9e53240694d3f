"""The way to the container engine: where it listens, whether it answers, and what it lacks."""

import os
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import requests
from docker.context import ContextAPI
from docker.errors import DockerException

import docker
from matrixci.errors import EngineError
from matrixci.processes import run_process

_OLDEST: Final = 23  # the first whose builds are BuildKit's
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_START_IT: Final = "Start one, or run: nox -s matrix -- --install-engine"


def engine_host() -> str:
    """Return where the engine listens, as the docker command line would find it."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    # The SDK raises a bare Exception for a context that it can't read, and has None for a lost one.
    with suppress(Exception):
        if host := getattr(ContextAPI.get_current_context(), "Host", None):
            return str(host)
    return _DEFAULT_HOST


def connect(host: str) -> docker.DockerClient:
    """Return a client of the engine.

    Raises:
        EngineError: none answers, it is too old, or not permitted.
    """
    if (path := host.removeprefix("unix://")) != host:
        _try_socket(Path(path))
    try:
        client = docker.DockerClient.from_env(
            environment={**os.environ, "DOCKER_HOST": host}, max_pool_size=64
        )
        version = str(client.version()["Version"])
    except (DockerException, requests.RequestException, KeyError) as error:
        msg = f"No container engine answers at {host}: {error}\n{_START_IT}"
        raise EngineError(msg) from error
    major = re.match(r"\d+", version)  # a build of the engine's own developers has none
    if major and int(major[0]) < _OLDEST:
        msg = (
            f"The container engine at {host} is version {version}; {_OLDEST}.0 or newer is needed "
            "(its builds are BuildKit's).\n"
            "Upgrade it; on Debian and Ubuntu: docker/engine.sh install"
        )
        raise EngineError(msg)
    return client


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
            msg = f"A container engine is installed, and is not running ({path}).\n{_START_IT}"
        else:
            msg = f"There is no container engine on this machine ({path}).\n{_START_IT}"
        raise EngineError(msg) from error


async def buildx_version(host: str) -> str:
    """Return the version of the docker command's buildx.

    Raises:
        EngineError: there is no docker command, or it has none.
    """
    try:
        done = await run_process(
            ["docker", "buildx", "version"], env={**os.environ, "DOCKER_HOST": host}
        )
    except FileNotFoundError as error:
        msg = "There is no docker command on PATH.\nInstall it, or run: docker/engine.sh install"
        raise EngineError(msg) from error
    if done.exit_status != 0:
        msg = (
            "The docker command has no buildx, which builds the images.\n"
            "Install docker-buildx (or docker-buildx-plugin), or run: docker/engine.sh install"
        )
        raise EngineError(msg)
    return done.stdout.split()[1] if len(done.stdout.split()) > 1 else done.stdout.strip()
