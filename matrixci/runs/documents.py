"""The JSON documents of a run's folder, each read whole or refused with the reason."""

import gc
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from matrixci.model import SCHEMA_VERSION, Frozen

LARGEST: Final = 64 * 2**20

Document = TypeVar("Document", bound=Frozen)


class Shared:
    """Equal mappings of names to versions, each kept once: most cells have the same lock."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def __call__(self, mapping: dict[str, str]) -> dict[str, str]:
        """Return the first mapping that was equal to this one."""
        return self._kept.setdefault(tuple(mapping.items()), mapping)


def read_json_document(path: Path, kind: type[Document], share: Shared | None = None) -> Document:
    """Read a document.

    Raises:
        ValueError: it is not what it should be; the message says why in one line.
        OSError: it can't be read.
    """
    if path.stat().st_size > LARGEST:
        msg = f"is larger than {LARGEST} bytes"
        raise ValueError(msg)
    raw = path.read_bytes()
    try:
        document = kind.model_validate_json(raw, context=share)
    except ValidationError as error:
        _refuse_version(_parsed(raw))
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"{where}: {first['msg']}" if where else first["msg"]
        raise ValueError(msg) from error
    _refuse_version({name: getattr(document, name) for name in document.model_fields_set})
    return document


def _parsed(raw: bytes) -> object:
    """Return the data of a document that is no valid one.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        msg = "is nested too deeply"
        raise ValueError(msg) from error


def _refuse_version(document: object) -> None:
    """Refuse a document of another schema version, or of none.

    Raises:
        ValueError: it is one.
    """
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        msg = f"has schema version {version!r}, and {SCHEMA_VERSION} is understood"
        raise ValueError(msg)


def announce(paths: Iterable[Path]) -> None:
    """Tell the system which files are read next: one by one, a disk takes many seconds for them."""
    if not hasattr(os, "posix_fadvise"):  # not on macOS
        return
    for path in paths:
        with suppress(OSError):  # it is told where the file is read
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


@contextmanager
def without_collection() -> Iterator[None]:
    """Make many objects that all stay: to look through them for garbage again and again is slow."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()
