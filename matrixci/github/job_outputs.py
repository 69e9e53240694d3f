"""Outputs of a planning job of GitHub Actions, for the jobs that run the cells."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, UsageError
from matrixci.fanout.plan import Plan

MOST_JOBS: Final = 256
"""Maximum number of jobs in one matrix of a workflow."""
_MOST_BYTES: Final = 2**20
"""Maximum size of all outputs of a job, in UTF-16 (GitHub Docs: "Workflow syntax")."""


def outputs(plan: Plan, size: int = MOST_JOBS) -> dict[str, str]:
    """Return the outputs as name to value.

    Args:
        plan: the plan.
        size: maximum number of cells in a shard.

    Raises:
        UsageError: the outputs are larger than GitHub allows.
    """
    cells = [
        {
            "cell": cell.id,
            "runner": runner[0] if len(runner) == 1 else list(runner),
            "gpu": cell.gpu,
        }
        for cell in plan.run.cells
        if cell.id in plan.cells and (runner := plan.cells[cell.id].runner)
    ]
    shards = [
        {"index": index, "cells": cells[first : first + size]}
        for index, first in enumerate(range(0, len(cells), size))
    ]
    found = {
        "run": plan.run.id,
        "cells": str(len(cells)),
        "shards": json.dumps(shards, separators=(",", ":")),
    }
    needed = sum(len(value.encode("utf-16-le")) for value in found.values())
    if needed > _MOST_BYTES:
        msg = (
            f"The plan's {len(cells)} cells need {needed} bytes of job outputs, and GitHub "
            f"Actions allows {_MOST_BYTES}. Select fewer cells: --tier, --cell."
        )
        raise UsageError(msg)
    return found


def append(found: Mapping[str, str], path: Path) -> None:
    """Append outputs to the file that the environment variable GITHUB_OUTPUT names.

    Raises:
        RunFilesError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            # No value has a line break, so no delimiter is needed.
            file.writelines(f"{name}={value}\n" for name, value in found.items())
    except OSError as error:
        msg = f"The job outputs cannot be written to {path}: {error}"
        raise RunFilesError(msg) from error
