"""Tags on the engine that record which images the cells of a run use."""

from collections.abc import Mapping
from pathlib import Path

from matrixci.engine.cleanup_plan import CellImage, CurrentRun
from matrixci.engine.client import Engine
from matrixci.engine.image_references import WorkDirId, cell_in_tag, matrix_id, reference
from matrixci.model import CellResult, Run, now
from matrixci.outcomes import GREEN
from matrixci.verdict.judge import judge_cell


class UsedImages:
    """The images of one run in its work directory."""

    def __init__(self, engine: Engine, work_dir: Path, run: Run) -> None:
        """Record the time: images that are tagged later do not belong to earlier runs."""
        self.work_dir = work_dir
        self.folder = WorkDirId.of(work_dir)
        self._engine = engine
        self._run = run
        self._began = now()  # a run that is resumed began long before

    async def use(self, cell: str, image: str) -> None:
        """Record that a cell uses an image.

        Args:
            cell: the cell's id.
            image: the image's tag.

        Raises:
            EngineError: the engine failed, or has no such image.
        """
        tag = reference(self.folder, self._run, cell, image).tag
        await self._engine.images.tag(image, tag)

    async def remove_superseded(self, results: Mapping[str, CellResult]) -> int:
        """Remove images that earlier runs of the matrix used and no cell needs any more.

        Args:
            results: cell id to result, of the cells that have run.

        Returns:
            The number of images removed.

        Raises:
            EngineError: the engine failed.
        """
        images = {}
        for name, result in results.items():
            if result.image is None:
                continue
            judged = judge_cell(result, self._run.known_issues, now().date())
            tag, green = result.image.tag, judged.outcome in GREEN
            used = reference(self.folder, self._run, name, tag, green=green)
            images[used.cell] = CellImage(key=used.key, green=green)
            if green:
                await self._engine.images.tag(tag, used.tag)
        cells = [*(cell.id for cell in self._run.cells), *self._run.unselected]
        current = CurrentRun(
            work_dir=self.folder,
            matrix=matrix_id(self._run),
            began=self._began,
            cells=frozenset(map(cell_in_tag, cells)),
            images=images,
        )
        return await self._engine.cleanup.remove_superseded(current)
