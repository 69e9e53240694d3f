"""Digest of a matrix."""

import hashlib
import json

from matrixci.matrix.definition import Matrix


def matrix_digest(matrix: Matrix) -> str:
    """Return a digest of the settings that affect the results of cells."""
    # Retries, free disk space, tiers and runners do not affect the result of a cell.
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
