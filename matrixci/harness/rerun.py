"""Selection of the failed checks that are rerun, and the recorder of their outcomes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutcomeRecorder:
    """Replaces the results file in a rerun, and keeps only the outcome."""

    def __init__(self) -> None:
        """Start without an outcome."""
        self.outcome: str | None = None

    def write(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Keep the outcome of a finished check."""
        if kind == "end":
            self.outcome = fields["outcome"]


def checks_to_rerun(failed: Sequence[str], known: Sequence[str], most: int) -> list[str]:
    """Return the checks to rerun; none if more failed than chance explains.

    Args:
        failed: ids of the failed checks.
        known: globs over the ids of known issues; brackets are literal.
        most: maximum number of checks to rerun.
    """
    patterns = [glob.replace("[", "[[]") for glob in known]
    new = [check for check in failed if not any(fnmatchcase(check, glob) for glob in patterns)]
    if len(new) > most > 0:
        protocol.note(f"no reruns: {len(new)} checks failed, and at most {most} are rerun")
    return new if len(new) <= most else []
