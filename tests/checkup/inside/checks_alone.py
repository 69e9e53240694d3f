"""Run the harness without its attestation, which runs with a seeded defect do not need.

Usage: python checks_alone.py CELL_JSON
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, "/matrixci/harness")

from supervise import Supervisor


class ChecksAlone(Supervisor):
    """Runs the checks of one cell, without an attestation."""

    def attest(self) -> None:
        """Skip the attestation, which would import torch."""


if __name__ == "__main__":
    ChecksAlone(Path(sys.argv[1])).run()
