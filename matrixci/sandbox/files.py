"""Files that are copied into a container and out of it: cell.json, harness, checks and results."""

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
    """The checks and the harness, as read from disk once."""

    folder: Path
    """Folder that the checks were read from."""
    files: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    """Folder in the container to relative path to content."""
    digest: str
    """SHA-256 over the names and contents of all files, in hex."""

    @property
    def package(self) -> str:
        """Name under which the checks can import their own folder; empty if they cannot.

        Only usual names of test suites count. Another name may be that of a package under test.
        """
        name = Path(os.path.abspath(self.folder)).name  # noqa: PTH100 - keeps the name of a link
        is_usual = name == _CHECKS or (name.startswith("test") and name.isidentifier())
        return name if is_usual and not self.are_builtin else ""

    @property
    def are_builtin(self) -> bool:
        """Whether these are the built-in checks, which have stricter rules."""
        return self.folder.resolve() == data_folder("checks").resolve()


def read_sources(checks: Path) -> Sources:
    """Read a folder of checks and the harness once, so that later changes do not affect the run.

    Raises:
        UsageError: a file cannot be read, or is not a regular file.
    """
    try:
        return with_harness(checks, read_files(checks))
    except OSError as error:
        msg = f"Cannot read the checks in {checks}: {error.strerror} ({error.filename})"
        raise UsageError(msg) from error


def with_harness(folder: Path, checks: Mapping[str, bytes]) -> Sources:
    """Return checks together with the installed harness.

    Args:
        folder: folder that the checks were read from.
        checks: relative path to content.

    Raises:
        OSError: the harness cannot be read.
    """
    files = {_CHECKS: checks, "harness": read_files(data_folder("harness"))}
    return Sources(folder=folder, files=files, digest=digest_of_files(*files.values()))


def pack(cell: Mapping[str, object], sources: Sources) -> bytes:
    """Return a tar archive of all files that a container needs.

    Args:
        cell: content of cell.json.
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
    """Return the content of the result file in a container's archive; None if there is none.

    Nothing is written to disk, because an archive from a container may contain any path. A link, a
    duplicate name and a file that is too large are treated as no file.
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
