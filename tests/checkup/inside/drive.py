"""Run the checks once for each seeded defect, in the container of a cell.

Usage: python drive.py, with jobs.json and the other modules of this folder next to it. Each job
writes its result file, or a file with its error.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from overlay import apply

PLACE = Path("/matrixci")
INSIDE = Path(__file__).parent
SCRATCH = Path("/tmp/checkup")  # noqa: S108 - the container's own


def drive(job: dict[str, Any]) -> None:
    """Run one job in its own folder."""
    folder = SCRATCH / job["name"]
    overlay = folder / "overlay"
    overlay.mkdir(parents=True)
    for patch in job["patches"]:
        apply(overlay, patch)
    # The harness finds checks and results next to the cell.
    shutil.copytree(PLACE / "checks", folder / "checks")
    (folder / "results").mkdir()
    cell = json.loads((PLACE / "cell.json").read_text(encoding="utf-8"))
    (folder / "cell.json").write_text(json.dumps({**cell, "only": job["only"]}))
    home = folder / "home"
    subprocess.run(
        [sys.executable, str(INSIDE / "checks_alone.py"), str(folder / "cell.json")],
        env={**os.environ, "PYTHONPATH": str(overlay), "HOME": str(home)},
        timeout=job["limit"],
        check=True,
    )
    shutil.copyfile(
        folder / "results" / "results.jsonl", PLACE / "results" / f"{job['name']}.jsonl"
    )


def main() -> None:
    """Run all jobs; a failed one does not affect the others."""
    jobs = json.loads((INSIDE / "jobs.json").read_text(encoding="utf-8"))
    for job in jobs:
        began = time.monotonic()
        try:
            drive(job)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            message = f"{type(error).__name__}: {error}"
            (PLACE / "results" / f"{job['name']}.error").write_text(message)
        shutil.rmtree(SCRATCH / job["name"], ignore_errors=True)
        sys.stderr.write(f"checkup: {job['name']}: {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
