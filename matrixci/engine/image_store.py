"""Images of a container engine: look up, name, pull and import them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag

import docker
from matrixci.engine.calls import call_engine, translated_errors
from matrixci.engine.image_contents import RawContents, read_contents
from matrixci.engine.labels import label_instruction, labels_for
from matrixci.errors import EngineError
from matrixci.util.redaction import redact

_log = logging.getLogger(__name__)
T = TypeVar("T")


class ImageStore:
    """The images of one engine."""

    def __init__(self, client: docker.DockerClient, *, uses_containerd: bool) -> None:
        """Initialize.

        Args:
            client: the engine's client.
            uses_containerd: containerd stores the images, so a build cache can be exported.
        """
        self._client = client
        self.uses_containerd = uses_containerd

    async def digest(self, name: str) -> str | None:
        """Return the digest of an image, None if the engine does not have it.

        Raises:
            EngineError: the engine failed.
        """
        with translated_errors():
            try:
                image = await asyncio.to_thread(self._client.images.get, name)
            except ImageNotFound:
                return None
        return str(image.id)

    async def labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of an image, None if the engine does not have it.

        Raises:
            EngineError: the engine failed.
        """
        try:
            image = await _call(lambda: self._client.images.get(name))
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
            await _call(lambda: self._client.api.tag(name, repository, tag, force=True))
        except NotFound as error:
            raise _failure(error) from error

    async def untag(self, name: str) -> None:
        """Remove a name, and the image with its last name.

        Raises:
            EngineError: the engine failed.
        """
        with suppress(NotFound):  # removed meanwhile
            await _call(lambda: self._client.images.remove(name))

    async def is_in_registry(self, name: str) -> bool:
        """Return whether the registry in an image's name has the image.

        Raises:
            EngineError: the registry is unreachable or refuses, or the engine failed.
        """
        api: Any = self._client.api  # has no types
        try:
            await _call(lambda: api.inspect_distribution(name))
        except NotFound:
            return False
        return True

    async def pull(self, name: str) -> bool:
        """Pull an image; return False if its registry does not answer.

        Raises:
            EngineError: the registry has no such image or refuses it, or the engine failed.
        """
        repository, tag = parse_repository_tag(name)
        with translated_errors():
            try:
                await asyncio.to_thread(self._client.images.pull, repository, tag or "latest")
            except (ImageNotFound, NotFound) as error:
                msg = f"The registry has no image {name}: {error.explanation}"
                raise EngineError(msg) from error
            except APIError as error:
                if error.is_client_error():
                    msg = f"The registry refuses {name}: {error.explanation}"
                    raise EngineError(msg) from error
                _log.debug("no registry for %s: %s", name, error)
                return False
        return True

    async def import_root(self, archive: Path, tag: str, labels: Mapping[str, str]) -> None:
        """Create an image of one layer from a root file system in a tar archive.

        Raises:
            EngineError: the engine failed.
        """
        changes = [label_instruction(name, value) for name, value in labels.items()]
        changes.append('CMD ["/bin/sh"]')
        repository, _, version = tag.rpartition(":")
        await call_engine(
            partial(
                self._client.api.import_image_from_file,
                str(archive),
                repository=repository,
                tag=version,
                changes=changes,
            )
        )

    async def read_contents(self, system: str, python: str) -> RawContents:
        """Read what the base images of an operating system and of an interpreter contain.

        Raises:
            EngineError: the engine failed.
        """
        labels = labels_for("contents", {})
        return await call_engine(partial(read_contents, self._client, system, python, labels))


async def _call(call: Callable[[], T]) -> T:
    """Return the result of an SDK call; NotFound is left to the caller.

    Raises:
        NotFound: the engine or the registry has no such image.
        EngineError: the call failed otherwise.
    """
    try:
        return await asyncio.to_thread(call)
    except NotFound:
        raise
    except (DockerException, requests.RequestException) as error:
        raise _failure(error) from error


def _failure(error: Exception) -> EngineError:
    return EngineError(redact(str(getattr(error, "explanation", None) or error)))
