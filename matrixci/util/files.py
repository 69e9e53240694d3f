"""Atomic writing of files."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from matrixci.errors import RunFilesError


def keep_out_of_git(work_dir: Path) -> None:
    """Create the work directory, with a .gitignore for everything in it.

    Raises:
        OSError: it cannot be written.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / ".gitignore").write_text("*\n", encoding="utf-8")


def write_whole(path: Path, text: str | bytes | Iterable[str], *, durable: bool = True) -> None:
    """Write a file atomically.

    Args:
        path: the file; its folder is created if necessary.
        text: the content, or an iterable of its parts.
        durable: sync the file to disk, so that it survives a loss of power.

    Raises:
        RunFilesError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                for piece in (text,) if isinstance(text, str | bytes) else text:
                    file.write(piece if isinstance(piece, bytes) else piece.encode())
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        msg = f"{path} cannot be written: {error}"
        raise RunFilesError(msg) from error
