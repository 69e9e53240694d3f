"""The cells of a matrix: one for each remaining combination of axis values."""

from matrixci.matrix.axes import PYTHON
from matrixci.matrix.combinations import Combination, cell_id
from matrixci.matrix.definition import Matrix
from matrixci.matrix.validators import PYTHON_PLACEHOLDER
from matrixci.model import Cell


def expand(matrix: Matrix) -> tuple[Cell, ...]:
    """Return the cells of a matrix in the order of the table: the last axis changes fastest."""
    return tuple(_cell(matrix, combination) for combination in matrix.combinations())


def _cell(matrix: Matrix, combination: Combination) -> Cell:
    values = [matrix.axes[axis][name] for axis, name in combination.items()]
    python = combination[PYTHON]
    environment = dict(matrix.environment)
    for value in values:
        environment |= value.environment
    requires = [*matrix.requires, *(each for value in values for each in value.requires)]
    bases = [
        value.base.replace(PYTHON_PLACEHOLDER, python) for value in values if value.base is not None
    ]
    backends = [value.torch_backend for value in values if value.torch_backend is not None]
    return Cell(
        id=cell_id(matrix.axes, combination),
        axes=combination,
        python=python,
        requires=tuple(dict.fromkeys(requires)),
        environment=environment,
        torch_backend=next(iter(backends), None),
        base=next(iter(bases), None),
        gpu=any(value.gpu for value in values),
        imports=matrix.imports,
    )
