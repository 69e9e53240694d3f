"""What tells one matrix from another."""

import hashlib
import json

from matrixci.matrix.definition import Matrix


def matrix_digest(matrix: Matrix) -> str:
    """Return a digest of all that a matrix says, whatever its file looks like."""
    # Nothing of what a cell comes to is changed by how patient a run is with its machine, by what
    # part of the cells bears a name, or by which machine a cell is sent to.
    runners = {"__all__": {"__all__": {"runner"}}}
    text = json.dumps(
        matrix.model_dump(
            mode="json",
            exclude={
                "retries": True,
                "limits": {"min_free_disk"},
                "tiers": True,
                "runner": True,
                "axes": runners,
            },
        ),
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()
