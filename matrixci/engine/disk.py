"""Free space on the disk that stores the container engine's images."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound

import docker

_DF: Final = ("df", "-P", "-B1", "/")
_SECONDS: Final = 60
_FREE_FIELD: Final = 3  # of the POSIX format: device, size, used, free, ...


def free_bytes(
    client: docker.DockerClient, host: str, filters: Mapping[str, Any], labels: Mapping[str, str]
) -> int | None:
    """Return the free bytes on an engine's disk, None if unknown.

    The disk of a local engine is measured directly. That of a remote engine is measured in a
    container of one of its images, whose root file system is on that disk.

    Args:
        client: the engine's client.
        host: the engine's address.
        filters: select the images that may be used.
        labels: labels of the container.

    Raises:
        DockerException: the engine failed.
    """
    root = Path(client.info().get("DockerRootDir") or "/nonexistent")
    if host.startswith("unix://"):
        with suppress(OSError):  # the socket may be forwarded from another machine
            return shutil.disk_usage(root).free
    for image in client.images.list(filters=dict(filters)):
        return _measure_in_container(client, str(image.id), labels)
    return None


def _measure_in_container(
    client: docker.DockerClient, image: str, labels: Mapping[str, str]
) -> int | None:
    container = client.containers.create(
        image, list(_DF), labels=dict(labels), network_mode="none", user="65532:65532"
    )
    try:
        container.start()
        container.wait(timeout=_SECONDS)
        return parse_df(container.logs(stdout=True, stderr=False).decode(errors="replace"))
    finally:
        with suppress(NotFound):
            container.remove(force=True)


def parse_df(text: str) -> int | None:
    """Parse the free bytes from the output of `df -P -B1`; return None if it is invalid."""
    fields = text.splitlines()[-1].split() if text.strip() else []
    free = fields[_FREE_FIELD] if len(fields) > _FREE_FIELD else ""
    return int(free) if free.isdecimal() and free.isascii() else None
