"""Files that a reader sees whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from matrixci.errors import RunFilesError


def keep_out_of_git(work_dir: Path) -> None:
    """Let git ignore the folder where runs and caches lie.

    Raises:
        OSError: it can't be written.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / ".gitignore").write_text("*\n", encoding="utf-8")


def write_whole(path: Path, text: str | bytes | Iterable[str], *, durable: bool = True) -> None:
    """Write a file so that a reader sees all of it or none.

    Args:
        path: the file; the folder is made where it isn't there.
        text: all of it, or its pieces.
        durable: wait until it would outlive a loss of power; what can be made again needn't.

    Raises:
        RunFilesError: it can't be written.
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
        msg = f"{path} can't be written: {error}"
        raise RunFilesError(msg) from error
