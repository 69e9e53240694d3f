"""Reading of JSON documents in a run folder: either completely valid, or refused with a reason."""

import gc
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from matrixci.model import SCHEMA_VERSION, Frozen
from matrixci.util.invocation import called

LARGEST: Final = 64 * 2**20
"""Maximum size of a document, in bytes."""

# Names that development versions used with the present schema version, before the first release.
_EARLIER_FIELDS: Final = frozenset({"figures", "entries", "ends"})
_EARLIER_LIMITS: Final = frozenset(
    {"check", "cell", "build", "scratch", "log", "result", "again", "silence"}
)
_EARLIER_WORDS: Final = frozenset({"known", "fixed", "needs"})

Document = TypeVar("Document", bound=Frozen)


class EarlierVersionError(ValueError):
    """A document written by a development version that used other names."""


class Shared:
    """A pool of equal mappings of names to versions: most cells have the same lock."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def __call__(self, mapping: dict[str, str]) -> dict[str, str]:
        """Return the first mapping that is equal to the given one."""
        return self._kept.setdefault(tuple(mapping.items()), mapping)


def read_json_document(path: Path, kind: type[Document], share: Shared | None = None) -> Document:
    """Read a document.

    Args:
        path: the file.
        kind: the model of the document.
        share: returns one object for all equal mappings of versions, to save memory.

    Raises:
        EarlierVersionError: a development version wrote the document with other names.
        ValueError: the document is invalid; the message gives the reason in one line.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > LARGEST:
        msg = f"is larger than {LARGEST} bytes"
        raise ValueError(msg)
    raw = path.read_bytes()
    try:
        document = kind.model_validate_json(raw, context=share)
    except ValidationError as error:
        _refuse_version(_parsed(raw))
        _refuse_earlier_names(error)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"{where}: {first['msg']}" if where else first["msg"]
        raise ValueError(msg) from error
    _refuse_version({name: getattr(document, name) for name in document.model_fields_set})
    return document


def _parsed(raw: bytes) -> object:
    """Return the data of an invalid document.

    Raises:
        ValueError: the document is not JSON.
    """
    try:
        return json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        msg = "is nested too deeply"
        raise ValueError(msg) from error


def _refuse_version(document: object) -> None:
    """Refuse a document without the present schema version.

    Raises:
        ValueError: the schema version is missing or another one.
    """
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        msg = f"has schema version {version!r}; this matrixci reads version {SCHEMA_VERSION}"
        raise ValueError(msg)


def _refuse_earlier_names(error: ValidationError) -> None:
    """Refuse a document that uses names of an earlier development version.

    Raises:
        EarlierVersionError: it does.
    """
    for each in error.errors():
        name: object = None
        if each["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
            *parents, name = each["loc"]
            known = _EARLIER_LIMITS if parents[-1:] == ["limits"] else _EARLIER_FIELDS
        else:
            name, known = each["input"], _EARLIER_WORDS
        if isinstance(name, str) and name in known:
            msg = (
                f"was written by an earlier development version of matrixci (it uses {name!r}); "
                f"run the matrix again: {called('matrix')}"
            )
            raise EarlierVersionError(msg) from error


def prefetch(paths: Iterable[Path]) -> None:
    """Ask the system to load files that are read next, because loading them one by one is slow."""
    if not hasattr(os, "posix_fadvise"):  # not on macOS
        return
    for path in paths:
        with suppress(OSError):  # reported when the file is read
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


@contextmanager
def without_collection() -> Iterator[None]:
    """Disable garbage collection while many long-lived objects are created, to save time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was:
            gc.enable()
