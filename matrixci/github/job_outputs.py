"""What a planning job of GitHub Actions hands on to the jobs that run the cells."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from matrixci.errors import RunFilesError, UsageError
from matrixci.fanout.plan import Plan

MOST_JOBS: Final = 256
"""Jobs that one matrix of a workflow may have."""
_MOST_BYTES: Final = 2**20
"""Of all outputs of a job, in UTF-16. Source: GitHub Docs, "Workflow syntax", jobs.<id>.outputs."""


def outputs(plan: Plan, size: int = MOST_JOBS) -> dict[str, str]:
    """Return name to value of the outputs.

    Args:
        plan: the plan.
        size: cells in each shard, at most.

    Raises:
        UsageError: they are more than GitHub passes on.
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
            f"The plan's {len(cells)} cells come to {needed} bytes, and a job of GitHub Actions "
            f"hands on {_MOST_BYTES} at most. Select fewer: --tier, --cell."
        )
        raise UsageError(msg)
    return found


def append(found: Mapping[str, str], path: Path) -> None:
    """Append outputs to the file that the environment variable GITHUB_OUTPUT names.

    Raises:
        RunFilesError: it can't be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            # No value has a line break: ids and labels have none, JSON writes none.
            file.writelines(f"{name}={value}\n" for name, value in found.items())
    except OSError as error:
        msg = f"The outputs can't be written to {path}: {error}"
        raise RunFilesError(msg) from error
