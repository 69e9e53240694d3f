"""Output and files of a container. All functions block; call them in a thread."""

import io
import logging
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from matrixci.engine.calls import SDK_ERRORS
from matrixci.util.redaction import redact_file

_log = logging.getLogger(__name__)


def collect_archive(container: Container, path: str, limit: int) -> bytes | None:
    """Return a path of a container as a tar archive, None if it is missing or too large."""
    try:
        stream, _ = container.get_archive(path)
    except NotFound:
        return None
    collected = io.BytesIO()
    for piece in stream:
        collected.write(piece)
        if collected.tell() > limit + tarfile.RECORDSIZE:
            return None
    return collected.getvalue()


def save_log(container: Container, path: Path, limit: int) -> None:
    """Write a container's output to a file, cut at a limit in bytes."""
    pieces: Iterator[bytes] = container.logs(stream=True, timestamps=False)
    written = 0
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece[: limit - written])
            written += len(piece)
            if written >= limit:
                file.write(b"\n[cut: the log's limit is reached]\n")
                break
    redact_file(path)


def follow_output(container: Container, receive: Callable[[bytes], None]) -> None:
    """Pass on a container's output as it is printed.

    An error is only logged: the log file is written separately.
    """
    try:
        for piece in container.logs(stream=True, follow=True):
            receive(piece)
    except (*SDK_ERRORS, OSError) as error:
        _log.debug("cannot follow the output: %s", error)


def last_line(container: Container) -> bytes:
    """Return the last line of a container's output, with its timestamp."""
    return bytes(container.logs(tail=1, timestamps=True))
