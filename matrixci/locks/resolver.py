"""The resolver: requirements of a cell in, its lock or the proof that there is none out."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final, assert_never

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.answer_cache import AnswerCache
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.unsatisfiable import needed_pythons, readable_reason, without_usable_wheel
from matrixci.locks.uv_command import (
    ResolutionRequest,
    index_answered,
    interpret,
    run_uv,
    uv_version,
)
from matrixci.model import Cell, Subject
from matrixci.util.once_map import OnceMap
from matrixci.util.subprocesses import Completed

HARNESS_REQUIREMENTS: Final = ("pytest>=8,<10",)
"""Requirements of the harness, resolved together with those of each cell."""


class Resolver:
    """Resolve each distinct request once, several at a time."""

    def __init__(self, cache: Path, platform: str, as_of: date | None, *, fresh: bool) -> None:
        """Initialize.

        Args:
            cache: folder of the answer cache.
            platform: value of uv's --python-platform.
            as_of: ignore everything published after this day.
            fresh: ignore cached answers.
        """
        self._cache = AnswerCache(cache)
        self._platform = platform
        self._as_of = as_of
        self._fresh = fresh
        self._answers: OnceMap[Lock | Unsatisfiable] = OnceMap(retry_on=(ResolverError,))
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._unreachable: set[str] = set()

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return the lock of a cell, or the proof that there is none.

        Raises:
            ResolverError: the index is unreachable or refused access.
        """
        request = ResolutionRequest(
            requires=(subject.requirement, *cell.requires, *HARNESS_REQUIREMENTS),
            python=cell.python,
            platform=self._platform,
            torch_backend=cell.torch_backend,
            as_of=self._as_of,
        )
        return await self.answer(request)

    async def tools(self, python: str) -> Lock:
        """Return the lock of the installer of image builds: the uv version installed here.

        Raises:
            ResolverError: the index could not be queried, or does not have this version.
        """
        request = ResolutionRequest(
            requires=(f"uv=={uv_version()}",),
            python=python,
            platform=self._platform,
            torch_backend=None,
            as_of=None,
        )
        answer = await self.answer(request)
        match answer:
            case Lock():
                return answer
            case Unsatisfiable():
                msg = f"The package index does not have the installed uv: {answer.reason}"
                raise ResolverError(msg)
            case _ as never:
                assert_never(never)

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
        request = ResolutionRequest(
            requires=tuple(requires),
            python=cell.python,
            platform=self._platform,
            torch_backend=None if universal else cell.torch_backend,
            as_of=self._as_of,
            universal=universal,
        )
        try:
            return await self.answer(request)
        except (ResolverError, RunFilesError):
            return None

    def known_names(self) -> set[str]:
        """Return the names of the packages in cached locks, those of earlier runs included."""
        return self._cache.package_names()

    async def answer(self, request: ResolutionRequest) -> Lock | Unsatisfiable:
        """Return the answer to a request; equal requests share one resolution.

        Raises:
            ResolverError: the resolver could not answer.
            RunFilesError: the answer cannot be cached.
        """
        return await self._answers(request, lambda: self._answer(request))

    async def close(self) -> None:
        """Cancel all running resolutions."""
        await self._answers.close()

    async def _answer(self, request: ResolutionRequest) -> Lock | Unsatisfiable:
        if not self._fresh and (cached := self._cache.read(request)):
            return cached
        answer = await self._resolve_or_fall_back(request)
        if isinstance(answer, Unsatisfiable) and not request.universal:
            answer = await self._explain(request, answer)
        self._cache.write(request, answer)
        return answer

    async def _explain(self, request: ResolutionRequest, answer: Unsatisfiable) -> Unsatisfiable:
        """Add the required Python to the reason if uv only says that no wheel is usable."""
        wheelless = without_usable_wheel(answer.detail)
        if not wheelless:
            return answer
        alone = replace(request, requires=wheelless, universal=True, torch_backend=None)
        try:
            why = await self.answer(alone)
        except (ResolverError, RunFilesError):
            return answer
        if not isinstance(why, Unsatisfiable):
            return answer
        pythons = needed_pythons(why.detail, request.python)
        return replace(answer, reason=readable_reason(answer.detail, request.python, pythons))

    async def _resolve_or_fall_back(self, request: ResolutionRequest) -> Lock | Unsatisfiable:
        """Use the index of the torch backend, or the default index if that is unreachable."""
        backend = request.torch_backend
        if backend is None:
            return interpret(await self._run(request), request)
        if backend not in self._unreachable:
            done = await self._run(request)
            if index_answered(done):
                return interpret(done, request)
            self._unreachable.add(backend)
        # This equals the request of a cell without a backend, so both share one resolution.
        answer = await self.answer(replace(request, torch_backend=None))
        return replace(answer, fallback=True) if isinstance(answer, Lock) else answer

    async def _run(self, request: ResolutionRequest) -> Completed:
        async with self._slots:
            return await run_uv(request)
