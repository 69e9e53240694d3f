"""The harness without its attestation, which a run with a seeded defect has no use for.

Usage: python checks_alone.py CELL_JSON
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, "/matrixci/harness")

from supervise import Supervisor


class ChecksAlone(Supervisor):
    """Runs the checks of one cell, and doesn't ask a fresh interpreter what is installed."""

    def attest(self) -> None:
        """Leave it out: it imports torch once more."""


if __name__ == "__main__":
    ChecksAlone(Path(sys.argv[1])).run()
