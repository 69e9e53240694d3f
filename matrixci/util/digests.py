"""Digests of data and files, and the files of a folder that are copied into a container."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def digest_of(facts: Mapping[str, object]) -> str:
    """Return a digest of a mapping, independent of its order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def digest_of_files(*folders: Mapping[str, bytes]) -> str:
    """Return a digest of the names and contents of files, in order."""
    digest = hashlib.sha256()
    for files in folders:
        for path, content in files.items():
            digest.update(f"{path}\0".encode())
            digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def read_files(folder: Path) -> dict[str, bytes]:
    """Return path to content of the files that are copied into a container.

    Raises:
        OSError: a file cannot be read.
    """
    return {str(path.relative_to(folder)): path.read_bytes() for path in source_files(folder)}


def source_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are copied into a container.

    Symbolic links are followed. Bytecode caches and names that begin with a dot are skipped.

    Raises:
        OSError: a path cannot be read, is neither a file nor a folder, is a link to a folder above
            it, or is not UTF-8.
    """
    return sorted(_files_below(folder, frozenset()))


def _files_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above:
        raise OSError(errno.ELOOP, "This link leads to a folder above it", str(folder))
    for path in folder.iterdir():
        if path.name == "__pycache__" or path.name.startswith("."):
            continue
        if (shown := os.fsencode(path).decode("utf-8", "backslashreplace")) != str(path):
            raise OSError(errno.EILSEQ, "This name is not UTF-8", shown)
        if path.is_dir():
            yield from _files_below(path, above | {here})
        elif path.is_file():
            yield path
        elif path.is_symlink():
            raise OSError(errno.ENOENT, "This link leads nowhere", str(path))
        else:
            raise OSError(errno.EINVAL, "This is neither a file nor a folder", str(path))
