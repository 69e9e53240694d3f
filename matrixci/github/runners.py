"""Labels of the GitHub Actions runner of a cell."""

from matrixci.matrix.definition import Matrix
from matrixci.model import Cell


def runner_of(matrix: Matrix, cell: Cell, gpu_runner: str | None) -> tuple[str, ...]:
    """Return the labels of the runner of a cell.

    Args:
        matrix: the matrix, which may name runners.
        cell: one of its cells.
        gpu_runner: comma-separated labels of a runner with a GPU. If there are none, cells with a
            GPU run on ordinary runners.
    """
    with_gpu = _labels(gpu_runner or "")
    if cell.gpu and with_gpu:
        return with_gpu
    values = (matrix.axes[axis][name] for axis, name in cell.axes.items())
    return next((value.runner for value in values if value.runner is not None), matrix.runner)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
