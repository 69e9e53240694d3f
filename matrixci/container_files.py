"""What is laid into a cell's container before it starts: the cell, the harness and the checks."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from matrixci.data import data_folder
from matrixci.engine import MOUNT_POINT, USER_ID
from matrixci.reuse import digest_of_folders, source_files

COMMAND: Final = ("python3", f"{MOUNT_POINT}/harness/supervise.py")
RESULTS: Final = "results"
RESULT_FILE: Final = "results.jsonl"


def pack(cell: Mapping[str, object], checks: Path) -> bytes:
    """Return a tar archive of all that a cell's container needs.

    Args:
        cell: what the container is told of its cell.
        checks: the folder of checks.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "cell.json", json.dumps(cell).encode())
        for name, folder in {"harness": data_folder("harness"), "checks": checks}.items():
            _add_folder(archive, name)
            for path in source_files(folder):
                _add(archive, f"{name}/{path.relative_to(folder)}", path.read_bytes())
        _add_folder(archive, RESULTS, owner=USER_ID)
    return buffer.getvalue()


def checks_digest(checks: Path) -> str:
    """Return a digest of a folder of checks and of the harness, which runs them."""
    return digest_of_folders(checks, data_folder("harness"))


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
