"""Locks that were resolved before, elsewhere: what is installed is what the plan says."""

from collections.abc import Mapping, Sequence

from matrixci.errors import ResolverError
from matrixci.fanout.plan import Plan
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import Cell, Subject


class PlannedLocks:
    """Answers as a resolver does, and asks nobody."""

    def __init__(
        self, answers: Mapping[str, Lock | Unsatisfiable], tools: Mapping[str, Lock]
    ) -> None:
        """Set up.

        Args:
            answers: cell id to what was resolved for it.
            tools: Python X.Y to the lock of what installs the others inside a build.
        """
        self._answers = answers
        self._tools = tools

    @classmethod
    def of(cls, plan: Plan, cell: Cell) -> "PlannedLocks":
        """Return what a plan resolved for one of its cells.

        Raises:
            UsageError: the lock isn't the one of its digest.
        """
        tools = {python: lock.parsed() for python, lock in plan.tools.items()}
        return cls({cell.id: plan.answer(cell.id)}, tools)

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:  # noqa: ARG002
        """Return a cell's lock, or why there is none."""
        return self._answers[cell.id]

    async def tools(self, python: str) -> Lock:
        """Return the lock of what installs the others inside a build.

        Raises:
            ResolverError: none was resolved for this Python.
        """
        if python not in self._tools:
            msg = f"The plan doesn't say what installs the packages on Python {python}."
            raise ResolverError(msg)
        return self._tools[python]

    async def probe(
        self,
        requires: Sequence[str],  # noqa: ARG002
        cell: Cell,  # noqa: ARG002
        *,
        universal: bool = False,  # noqa: ARG002
    ) -> None:
        """Return None: why a cell has an older release was found out with its lock."""
        return

    async def close(self) -> None:
        """Break off what is under way: nothing is."""
