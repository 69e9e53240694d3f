"""The locks of a plan, in place of a resolver."""

from collections.abc import Mapping, Sequence

from matrixci.errors import ResolverError
from matrixci.fanout.plan import Plan
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import Cell, Subject


class PlannedLocks:
    """Provide the locks of a plan without asking an index."""

    def __init__(
        self, answers: Mapping[str, Lock | Unsatisfiable], tools: Mapping[str, Lock]
    ) -> None:
        """Set up.

        Args:
            answers: cell id to its lock, or to the reason why there is none.
            tools: Python X.Y to the lock of the build tools.
        """
        self._answers = answers
        self._tools = tools

    @classmethod
    def of(cls, plan: Plan, cell: Cell) -> "PlannedLocks":
        """Return the locks of one cell of a plan.

        Raises:
            UsageError: a lock does not match its digest.
        """
        tools = {python: lock.parsed() for python, lock in plan.tools.items()}
        return cls({cell.id: plan.answer(cell.id)}, tools)

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:  # noqa: ARG002
        """Return the lock of a cell, or the reason why there is none."""
        return self._answers[cell.id]

    async def tools(self, python: str) -> Lock:
        """Return the lock of the build tools.

        Raises:
            ResolverError: the plan has none for this Python.
        """
        if python not in self._tools:
            msg = f"The plan has no lock of the build tools for Python {python}."
            raise ResolverError(msg)
        return self._tools[python]

    async def probe(
        self,
        requires: Sequence[str],  # noqa: ARG002
        cell: Cell,  # noqa: ARG002
        *,
        universal: bool = False,  # noqa: ARG002
    ) -> None:
        """Return None: the plan already has the reasons for older releases."""
        return

    async def close(self) -> None:
        """Do nothing: no work is in progress."""
