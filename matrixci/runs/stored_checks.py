"""Copy of the checks in the run folder, so that later edits do not change a reproduction."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from matrixci.errors import RunFilesError
from matrixci.model import Setup
from matrixci.sandbox.files import Sources, with_harness
from matrixci.util.files import write_whole
from matrixci.util.resources import data_folder

_MAX_BYTES: Final = 2**30  # an archive may come from another machine


def checks_file(digest: str) -> str:
    """Return the path of the archive of checks, relative to the run folder.

    Args:
        digest: digest of the checks and the harness, as recorded in the setup of the run.
    """
    return f"checks/{digest}.tar.gz"


def store_checks(folder: Path, sources: Sources) -> None:
    """Write the checks into a run folder, unless they are there already.

    Args:
        folder: the run folder.
        sources: the checks and the harness. Equal files give an identical archive.

    Raises:
        RunFilesError: the archive cannot be written.
    """
    path = folder / checks_file(sources.digest)
    if path.exists():
        return
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(sources.files["checks"].items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    write_whole(path, gzip.compress(buffer.getvalue(), mtime=0))


def read_checks(folder: Path, setup: Setup) -> Sources | None:
    """Return the checks stored in a run folder, with the present harness.

    Args:
        folder: the run folder.
        setup: the setup of the run, with the digest of its checks.

    Returns:
        The checks, or None if the run stored none, as older versions of matrixci did.

    Raises:
        RunFilesError: the archive cannot be read.
    """
    path = folder / checks_file(setup.checks_digest)
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    try:
        files = _files(path)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        msg = f"Cannot read the checks of the run in {path}: {error}"
        raise RunFilesError(msg) from error
    where = data_folder("checks") if setup.checks is None else Path(setup.checks)
    return with_harness(where, files)


def _files(path: Path) -> dict[str, bytes]:
    """Return the files of an archive, without writing them to disk.

    Raises:
        ValueError: the archive is too large, or contains more than plain files.
    """
    with gzip.open(path) as packed:
        content = packed.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        msg = f"larger than {_MAX_BYTES} bytes"
        raise ValueError(msg)
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            file = archive.extractfile(member) if member.isreg() else None
            if file is None or name.is_absolute() or ".." in name.parts:
                msg = f"unexpected member {member.name!r}"
                raise ValueError(msg)
            files[member.name] = file.read()
    return files
