"""What is laid into a cell's container before it starts: the cell, the harness and the checks."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from matrixci.engine.container_spec import MOUNT_POINT, USER_ID
from matrixci.errors import UsageError
from matrixci.util.digests import digest_of_files, read_files
from matrixci.util.resources import data_folder

COMMAND: Final = ("python3", f"{MOUNT_POINT}/harness/supervise.py")
RESULTS: Final = "results"
RESULT_FILE: Final = "results.jsonl"
_CHECKS: Final = "checks"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The checks and what runs them, as they were when they were read."""

    folder: Path
    """Where the checks lay."""
    files: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    """Folder in the container to path in it to content."""
    digest: str
    """SHA-256 of the names and contents, in hex."""

    @property
    def package(self) -> str:
        """The name under which checks import from their own folder; empty: there is none.

        Only a name that a suite usually has: another one may be that of a package under test.
        """
        name = Path(os.path.abspath(self.folder)).name  # noqa: PTH100 - a link keeps its name
        is_usual = name == _CHECKS or (name.startswith("test") and name.isidentifier())
        return name if is_usual and not self.are_builtin else ""

    @property
    def are_builtin(self) -> bool:
        """Whether these are the checks that come with matrixci, which have stricter rules."""
        return self.folder.resolve() == data_folder("checks").resolve()


def read_sources(checks: Path) -> Sources:
    """Read a folder of checks, and the harness: what is changed later changes no cell of a run.

    Raises:
        UsageError: a file can't be read, or is none.
    """
    try:
        return with_harness(checks, read_files(checks))
    except OSError as error:
        msg = f"The checks in {checks} can't be read: {error.strerror} ({error.filename})"
        raise UsageError(msg) from error


def with_harness(folder: Path, checks: Mapping[str, bytes]) -> Sources:
    """Return checks together with the harness of this matrixci.

    Args:
        folder: where the checks lay.
        checks: path in it to content.

    Raises:
        OSError: the harness can't be read.
    """
    files = {_CHECKS: checks, "harness": read_files(data_folder("harness"))}
    return Sources(folder=folder, files=files, digest=digest_of_files(*files.values()))


def pack(cell: Mapping[str, object], sources: Sources) -> bytes:
    """Return a tar archive of all that a cell's container needs.

    Args:
        cell: what the container is told of its cell.
        sources: the checks and the harness.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "cell.json", json.dumps(cell).encode())
        for name, files in sources.files.items():
            _add_folder(archive, name)
            place = f"{name}/{sources.package}" if name == _CHECKS else name
            for path, content in files.items():
                _add(archive, f"{place}/{path}".replace("//", "/"), content)
        _add_folder(archive, RESULTS, owner=USER_ID)
    return buffer.getvalue()


def unpack_results(archive: bytes | None, limit: int) -> bytes | None:
    """Return the result file from what a container left; None where there is none.

    Nothing is written to disk: the archive comes from a container and may name any path. A link, a
    second file of the name and one that is too large count as none.
    """
    if archive is None:
        return None
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            members = [m for m in tar.getmembers() if m.name == f"{RESULTS}/{RESULT_FILE}"]
            if len(members) != 1 or not members[0].isreg() or members[0].size > limit:
                return None
            file = tar.extractfile(members[0])
            return file.read() if file else None
    except (tarfile.TarError, OSError):
        return None


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o444
    archive.addfile(member, io.BytesIO(content))


def _add_folder(archive: tarfile.TarFile, name: str, owner: int = 0) -> None:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    member.mode = 0o755
    member.uid = member.gid = owner
    archive.addfile(member)
