"""Images on a container engine: their labels and names, and what a registry has of them."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import requests
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag

import docker
from matrixci.errors import EngineError
from matrixci.util.redaction import redact

T = TypeVar("T")


class EngineImages:
    """What there is to know and to do about the images of one engine."""

    def __init__(self, client: docker.DockerClient, *, by_containerd: bool) -> None:
        """Set up; `by_containerd` says who keeps them: its store can export a build cache."""
        self._client = client
        self.by_containerd = by_containerd

    async def labels(self, name: str) -> Mapping[str, str] | None:
        """Return an image's labels, None where it isn't there.

        Raises:
            EngineError: the engine failed.
        """
        try:
            image = await _ask(lambda: self._client.images.get(name))
        except ImageNotFound:
            return None
        return dict(image.labels)

    async def tag(self, name: str, other: str) -> None:
        """Give an image another name.

        Raises:
            EngineError: the engine failed, or has no such image.
        """
        repository, tag = parse_repository_tag(other)
        try:
            await _ask(lambda: self._client.api.tag(name, repository, tag, force=True))
        except NotFound as error:
            raise _failed(error) from error

    async def untag(self, name: str) -> None:
        """Take a name away, and the image with its last one.

        Raises:
            EngineError: the engine failed.
        """
        with suppress(NotFound):  # somebody else was faster
            await _ask(lambda: self._client.images.remove(name))

    async def is_in_registry(self, name: str) -> bool:
        """Ask the registry that a name begins with, as the engine reaches it, for the image.

        Raises:
            EngineError: the engine can't tell: the registry is away or refuses, or it is itself.
        """
        api: Any = self._client.api  # without types
        try:
            await _ask(lambda: api.inspect_distribution(name))
        except NotFound:
            return False
        return True


async def _ask(call: Callable[[], T]) -> T:
    """Return what a call of the SDK returns; NotFound is left to the caller.

    Raises:
        NotFound: there is no such thing.
        EngineError: it failed otherwise.
    """
    try:
        return await asyncio.to_thread(call)
    except NotFound:
        raise
    except (DockerException, requests.RequestException) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> EngineError:
    return EngineError(redact(str(getattr(error, "explanation", None) or error)))
