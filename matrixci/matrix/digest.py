"""What tells one matrix from another."""

import hashlib
import json

from matrixci.matrix.definition import Matrix


def matrix_digest(matrix: Matrix) -> str:
    """Return a digest of all that a matrix says, whatever its file looks like."""
    # How patient a run is with its machine changes nothing of what a cell comes to.
    apart: dict[str, bool | set[str]] = {"retries": True, "limits": {"free_disk"}}
    text = json.dumps(matrix.model_dump(mode="json", exclude=apart), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
