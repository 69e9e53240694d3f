"""Locks of a run that goes on: what a cell was locked to before, it is installed from again."""

from collections.abc import Mapping, Sequence

from matrixci.locks.resolver import Lock, Locks, Unsatisfiable
from matrixci.model import Cell, Subject


class KeptLocks:
    """Answers with the locks that there are, and asks a resolver for the others."""

    def __init__(self, kept: Mapping[str, Lock], others: Locks) -> None:
        """Set up.

        Args:
            kept: cell id to its lock.
            others: asked for all else.
        """
        self._kept = kept
        self._others = others

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return a cell's lock, or why there is none.

        Raises:
            ResolverError: there is none so far, and it can't be told.
        """
        return self._kept.get(cell.id) or await self._others.resolve(cell, subject)

    async def tools(self, python: str) -> Lock:
        """Return the lock of what installs the others inside a build.

        Raises:
            ResolverError: it can't be told.
        """
        return await self._others.tools(python)

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements than a cell's in its place; None where there is no answer."""
        return await self._others.probe(requires, cell, universal=universal)

    async def close(self) -> None:
        """Break off what is under way."""
        await self._others.close()
