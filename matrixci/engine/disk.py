"""How much room there is where the container engine keeps its images."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from docker.errors import NotFound

import docker

_DF: Final = ("df", "-P", "-B1", "/")
_SECONDS: Final = 60
_FREE_FIELD: Final = 3  # of the POSIX form: device, size, used, free, ...


def free_bytes(
    client: docker.DockerClient, host: str, filters: Mapping[str, Any], labels: Mapping[str, str]
) -> int | None:
    """Return what is free on the disk of an engine, None where that can't be known.

    An engine of this machine is looked at from here; one elsewhere is asked through a container of
    an image that stands on it, whose root lies on that disk.

    Args:
        client: the engine's.
        host: where it listens.
        filters: those of the images that may be used.
        labels: what the container is labelled with.

    Raises:
        DockerException: the engine failed.
    """
    root = Path(client.info().get("DockerRootDir") or "/nonexistent")
    if host.startswith("unix://"):
        with suppress(OSError):  # the socket may be that of another machine, handed in
            return shutil.disk_usage(root).free
    for image in client.images.list(filters=dict(filters)):
        return _seen_from_inside(client, str(image.id), labels)
    return None


def _seen_from_inside(
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
    """Return the free bytes from what `df -P -B1` printed; None where it is something else."""
    fields = text.splitlines()[-1].split() if text.strip() else []
    free = fields[_FREE_FIELD] if len(fields) > _FREE_FIELD else ""
    return int(free) if free.isdecimal() and free.isascii() else None
