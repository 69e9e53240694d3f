"""Read the interpreter and the packages of base images."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from docker.errors import APIError, NotFound
from docker.models.containers import Container

import docker

_PACKAGES: Final = "/var/lib/dpkg/status"
_RELEASE: Final = "/usr/lib/os-release"  # /etc contains a link to it
_LARGEST: Final = 16 * 1024 * 1024
_SECONDS: Final = 60
_LONGEST_OUTPUT: Final = 1000
_VERSION: Final = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


@dataclass(frozen=True, kw_only=True)
class RawContents:
    """Files and output of base images, not yet parsed; empty if missing."""

    release: str
    packages: str
    python: str


def read_contents(
    client: docker.DockerClient, system: str, python: str, labels: Mapping[str, str]
) -> RawContents:
    """Read the packages of one base image and the Python version of another.

    Only files of the operating system's image are read. The interpreter is started without its
    site packages.

    Args:
        client: the engine's client.
        system: the operating system's image.
        python: the interpreter's image.
        labels: labels of the containers.

    Raises:
        DockerException: the engine failed.
    """
    with _container(client, system, ["true"], labels) as container:
        release, packages = _read(container, _RELEASE), _read(container, _PACKAGES)
    command = ["python3", "-I", "-S", "-c", _VERSION]
    with _container(client, python, command, labels) as container:
        version = _output(container)
    return RawContents(release=release, packages=packages, python=version)


@contextmanager
def _container(
    client: docker.DockerClient, image: str, command: list[str], labels: Mapping[str, str]
) -> Iterator[Container]:
    container = client.containers.create(
        image,
        command,
        entrypoint=[],
        labels=dict(labels),
        network_mode="none",
        user="65532:65532",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    try:
        yield container
    finally:
        with suppress(NotFound):
            container.remove(force=True)


def _read(container: Container, path: str) -> str:
    """Return a text file of a container, "" if it is missing or too large."""
    try:
        stream, about = container.get_archive(path)
    except NotFound:
        return ""
    if about is None or about["size"] > _LARGEST:
        return ""
    archive = io.BytesIO(b"".join(stream))
    with tarfile.open(fileobj=archive) as tar:
        for member in tar:
            if (file := tar.extractfile(member)) is not None:
                return file.read().decode("utf-8", "replace")
    return ""


def _output(container: Container) -> str:
    """Return the output of a container, "" if it cannot start or fails."""
    try:
        container.start()
    except APIError:  # it has no such program
        return ""
    if container.wait(timeout=_SECONDS)["StatusCode"] != 0:
        return ""
    text = container.logs(stdout=True, stderr=False, tail=1).decode("utf-8", "replace")
    return text.strip()[:_LONGEST_OUTPUT]
