"""Tags that record which work directory, matrix and cell use an image.

A cell image is named by a digest of its content, so several work directories may use it. Labels
cannot record that, as they are fixed at the build. So each cell that uses an image adds a tag to
it. Like hard links, these references keep the image until the last one is removed.
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
class WorkDirId:
    """A work directory (--work-dir) as it appears in tags and labels."""

    id: str
    name: str

    @classmethod
    def of(cls, work_dir: Path) -> "WorkDirId":
        """Return the identity of a work directory, which need not exist."""
        path = work_dir.resolve()
        named = path.parent if path.name.startswith(".") else path
        words = re.findall(r"[a-z0-9]+", named.name.lower())
        return cls(id=_digest(str(path), 12), name="-".join(words)[:40].strip("-") or "folder")

    @property
    def repository(self) -> str:
        """The repository of all references of the work directory."""
        return f"{_REFERENCES}/{self.name}-{self.id}"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The use of an image by a cell of a matrix in a work directory."""

    repository: str
    """The repository of the work directory."""
    matrix: str
    cell: str
    """The cell's id as it appears in a tag."""
    key: str
    """Tag of the cell image."""
    green: bool = False
    """The cell was green in this image."""

    @property
    def tag(self) -> str:
        """The tag that records the reference."""
        end = _GREEN if self.green else ""
        return f"{self.repository}:{self.cell}.{self.matrix}.{self.key}{end}"


def references(tags: Iterable[str]) -> dict[str, Reference]:
    """Return the references among an image's tags, parsed."""
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


def reference(
    work_dir: WorkDirId, run: Run, cell: str, image: str, *, green: bool = False
) -> Reference:
    """Return the reference of a cell of a run to its image.

    Args:
        work_dir: the work directory of the run.
        run: the run.
        cell: the cell's id.
        image: tag of the cell image.
        green: the cell was green.
    """
    return Reference(
        repository=work_dir.repository,
        matrix=matrix_id(run),
        cell=cell_in_tag(cell),
        key=image.rpartition(":")[2],
        green=green,
    )


def matrix_id(run: Run) -> str:
    """Return an id of a matrix that does not change when the matrix or its subject is edited."""
    file = Path(given(run.command, "--matrix") or _DEFAULT_MATRIX).name
    return _digest(f"{file}\n{run.subject.name}", 8)


def cell_in_tag(cell: str) -> str:
    """Return a cell's id with only the characters that a tag allows."""
    text = re.sub(r"[^A-Za-z0-9_.-]", "-", cell)
    if text != cell or len(text) > _LONGEST_CELL or text[:1] in {".", "-"}:
        return f"c{text[: _LONGEST_CELL - 10]}-{_digest(cell, 8)}"
    return text


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]
