"""Which checks are run once more, and what the second run comes to."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Heard:
    """Stands where the results file stands in a first run: a second one only has an outcome."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.outcome: str | None = None

    def write(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Keep what the check came to."""
        if kind == "end":
            self.outcome = fields["outcome"]


def to_run_again(failed: Sequence[str], known: Sequence[str], most: int) -> list[str]:
    """Return the checks to run once more: none where so many failed that chance is no reason.

    Args:
        failed: the checks that failed.
        known: globs over those of which it is known; brackets stand for themselves.
        most: how many are run once more.
    """
    patterns = [glob.replace("[", "[[]") for glob in known]
    new = [one for one in failed if not any(fnmatchcase(one, pattern) for pattern in patterns)]
    if len(new) > most > 0:
        protocol.note(f"{len(new)} checks failed, more than the {most} that would be run again")
    return new if len(new) <= most else []
