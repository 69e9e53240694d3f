"""What tells one matrix from another."""

import hashlib
import json

from matrixci.matrix.definition import Matrix


def matrix_digest(matrix: Matrix) -> str:
    """Return a digest of all that a matrix says, whatever its file looks like."""
    text = json.dumps(matrix.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
