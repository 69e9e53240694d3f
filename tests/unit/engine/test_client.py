from collections.abc import Callable
from pathlib import Path

import pytest
from factories import an_engine

from matrixci.model import EngineFacts

AddProgram = Callable[[str, str], None]
Connect = Callable[[str], EngineFacts]
Serve = Callable[..., str]

WITH_BUILDX = "echo github.com/docker/buildx v0.13.1 788433953af10f2a698f5c07611dddce2e08c7a0"


def test_engine_is_described(serve: Serve, programs: AddProgram, connected: Connect) -> None:
    programs("docker", WITH_BUILDX)
    assert connected(serve()) == an_engine(buildx="v0.13.1")


def test_security_options_and_missing_limits_are_recorded(
    serve: Serve, programs: AddProgram, connected: Connect
) -> None:
    programs("docker", WITH_BUILDX)
    options = ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]
    facts = connected(serve(info={"SecurityOptions": options, "PidsLimit": False}))
    assert facts.security == ("seccomp", "rootless", "cgroupns")
    assert facts.unenforced == ("pids",)


def test_docker_command_uses_the_same_engine(
    serve: Serve,
    programs: AddProgram,
    connected: Connect,
    tmp_path: Path,
) -> None:
    programs("docker", f'echo "$DOCKER_HOST $*" >{tmp_path}/called; {WITH_BUILDX}')
    host = serve()
    connected(host)
    call = (tmp_path / "called").read_text(encoding="utf-8")
    assert call == f"{host} buildx version\n"


@pytest.mark.parametrize("version", ["23.0.0", "29.0", "100.1.2-ce", "27.0.0-rc.1", "dev", ""])
def test_supported_version_is_accepted(
    serve: Serve,
    programs: AddProgram,
    connected: Connect,
    version: str,
) -> None:
    programs("docker", WITH_BUILDX)
    assert connected(serve(version)).buildx == "v0.13.1"
