"""Plans of four cells, the last of which is unsatisfiable."""

from factories import a_run, cells

from matrixci.fanout.plan import (
    Plan,
    PlannedCell,
    PlannedLock,
    Refusal,
)
from matrixci.locks.lock import Lock, Pin
from matrixci.matrix.definition import Matrix
from matrixci.matrix.digest import matrix_digest
from matrixci.model import Cell

FOUR = cells(("3.12", "3.13"), ("2.x",), ("cpu", "cuda"))


LOCK = Lock(
    pins=(
        Pin(name="numpy", version="2.5.5", url=None, hashes=("sha256:ab",), via=("toy",)),
        Pin(name="toy", version="1.0", url=None, hashes=("sha256:cd", "sha256:ef"), via=()),
    ),
    torch_backend=None,
)


AXES: dict[str, dict[str, dict[str, str]]] = {
    "python": {"3.12": {}, "3.13": {}},
    "numpy": {"2.x": {}},
    "device": {"cpu": {}, "cuda": {}},
}


MATRIX = Matrix.model_validate({"subject": "toy", "axes": AXES})


def a_plan(of: tuple[Cell, ...] = FOUR, lock: Lock = LOCK, **run: object) -> Plan:
    """Return a plan whose last cell is unsatisfiable if it has several."""
    satisfiable = of[:-1] or of
    return Plan(
        run=a_run(of, matrix_digest=matrix_digest(MATRIX), ended=None, **run),
        matrix=MATRIX,
        architecture="x86_64",
        locks={lock.digest: PlannedLock.of(lock)},
        cells={
            cell.id: PlannedCell(lock=lock.digest, fallback=not cell.gpu, runner=("ubuntu-24.04",))
            for cell in satisfiable
        },
        unsatisfiable={
            cell.id: Refusal(reason="no wheel", detail="the full explanation")
            for cell in of[len(satisfiable) :]
        },
        tools={"3.13": PlannedLock.of(LOCK)},
    )
