"""Tags that record which folder, matrix and cell use an image.

The name of a cell image is a digest of its content, so several folders may use one image. Labels
cannot record that: they are fixed when the image is built. So each cell that uses an image gives it
one more tag. Like a hard link, such a reference keeps the image until the last one is removed.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from matrixci.model import Run
from matrixci.util.invocation import given

CELL_IMAGES: Final = "matrixci/cell"
_REFERENCES: Final = "matrixci/used-by"
_DEFAULT_MATRIX: Final = "matrix.yaml"
_LONGEST_CELL: Final = 80  # a tag has at most 128 characters
_GREEN: Final = ".green"
_TAG: Final = re.compile(
    rf"({_REFERENCES}/[^:]+):(.+)\.([0-9a-f]{{8}})\.([0-9a-f]{{20}})({re.escape(_GREEN)})?"
)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A work directory (--work-dir), as tags and labels on an engine name it."""

    id: str
    name: str

    @classmethod
    def of(cls, work_dir: Path) -> "Folder":
        """Return the folder of a work directory, which need not exist."""
        path = work_dir.resolve()
        own = path.parent if path.name.startswith(".") else path
        words = re.findall(r"[a-z0-9]+", own.name.lower())
        return cls(id=_digest(str(path), 12), name="-".join(words)[:40].strip("-") or "folder")

    @property
    def repository(self) -> str:
        """The name that all references of the folder begin with."""
        return f"{_REFERENCES}/{self.name}-{self.id}"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One use of an image: by a cell of a matrix, in a folder."""

    repository: str
    """Of the folder."""
    matrix: str
    cell: str
    """The cell's id, as a part of a tag."""
    key: str
    """Tag of the cell image."""
    green: bool = False
    """The cell was green in it."""

    @property
    def tag(self) -> str:
        """The image's additional name."""
        end = _GREEN if self.green else ""
        return f"{self.repository}:{self.cell}.{self.matrix}.{self.key}{end}"


def references(tags: Iterable[str]) -> dict[str, Reference]:
    """Return those of an image's tags that are references, parsed."""
    matches = {tag: _TAG.fullmatch(tag) for tag in tags}
    return {
        tag: Reference(
            repository=match[1],
            cell=match[2],
            matrix=match[3],
            key=match[4],
            green=match[5] is not None,
        )
        for tag, match in matches.items()
        if match is not None
    }


def reference(folder: Folder, run: Run, cell: str, image: str, *, green: bool = False) -> Reference:
    """Return the reference of a cell of a run to its image.

    Args:
        folder: where the run is kept.
        run: the run.
        cell: the cell's id.
        image: tag of the cell image.
        green: the cell was green.
    """
    return Reference(
        repository=folder.repository,
        matrix=matrix_id(run),
        cell=cell_in_tag(cell),
        key=image.rpartition(":")[2],
        green=green,
    )


def matrix_id(run: Run) -> str:
    """Return what stays the same when a matrix or the source of its subject is edited."""
    file = Path(given(run.command, "--matrix") or _DEFAULT_MATRIX).name
    return _digest(f"{file}\n{run.subject.name}", 8)


def cell_in_tag(cell: str) -> str:
    """Return a cell's id with only characters that a tag may have."""
    text = re.sub(r"[^A-Za-z0-9_.-]", "-", cell)
    if text != cell or len(text) > _LONGEST_CELL or text[:1] in {".", "-"}:
        return f"c{text[: _LONGEST_CELL - 10]}-{_digest(cell, 8)}"
    return text


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]
