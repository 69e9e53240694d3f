"""Sources of locks: the interface of a resolver, and the stored locks of an earlier run."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.model import Cell, Subject


class LockProvider(Protocol):
    """Provides the locks of a run: a resolver, or stored locks of an earlier run."""

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or the proof that there is none.

        Raises:
            ResolverError: the resolver could not answer.
        """

    async def tools(self, python: str) -> Lock:
        """Return the lock of the installer that runs inside an image build, for Python X.Y.

        Raises:
            ResolverError: the resolver could not answer.
        """

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements in the environment of a cell.

        Args:
            requires: the requirements.
            cell: supplies the Python version and the torch backend.
            universal: resolve for any platform, without dependencies.

        Returns:
            The answer, or None if the resolver could not answer.
        """

    async def close(self) -> None:
        """Cancel all running resolutions."""


class StoredLocks:
    """Provide the stored locks of an earlier run, and ask another provider for the rest."""

    def __init__(self, kept: Mapping[str, Lock], others: LockProvider) -> None:
        """Initialize.

        Args:
            kept: cell id to its stored lock.
            others: provides everything else.
        """
        self._kept = kept
        self._others = others

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or the proof that there is none.

        Raises:
            ResolverError: no lock is stored, and the resolver could not answer.
        """
        return self._kept.get(cell.id) or await self._others.resolve(cell, subject)

    async def tools(self, python: str) -> Lock:
        """Return the lock of the installer that runs inside an image build.

        Raises:
            ResolverError: the resolver could not answer.
        """
        return await self._others.tools(python)

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements in the environment of a cell."""
        return await self._others.probe(requires, cell, universal=universal)

    async def close(self) -> None:
        """Cancel all running resolutions."""
        await self._others.close()
