"""Which runner of GitHub Actions a cell runs on."""

from matrixci.matrix.definition import Matrix
from matrixci.model import Cell


def runner_of(matrix: Matrix, cell: Cell, gpu_runner: str | None) -> tuple[str, ...]:
    """Return the labels of the runner that a cell of the matrix runs on.

    Args:
        matrix: says which runner is whose.
        cell: one of its cells.
        gpu_runner: labels of a runner with a GPU, with commas between; None, or none in it: there
            is no such runner, and a cell that asks for a GPU runs on its ordinary one.
    """
    with_gpu = _labels(gpu_runner or "")
    if cell.gpu and with_gpu:
        return with_gpu
    values = (matrix.axes[axis][name] for axis, name in cell.axes.items())
    return next((value.runner for value in values if value.runner is not None), matrix.runner)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
