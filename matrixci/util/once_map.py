"""Work that many ask for and that is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Does each named piece of work once, whoever asks first; the others wait for its outcome.

    The work goes on where one of those who asked is cancelled; `close` breaks off what is left.
    """

    def __init__(self, passing: tuple[type[Exception], ...] = ()) -> None:
        """Set up; whoever asks after a failure of a `passing` kind has the work done anew."""
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._passing = passing

    async def __call__(
        self,
        name: Hashable,
        work: Callable[[], Coroutine[Any, Any, T]],
        stands: Callable[[T], Awaitable[bool]] | None = None,
    ) -> T:
        """Return what the work came to; raises what it raised, to each who asks.

        Args:
            name: of the work.
            work: does it.
            stands: tells whether what it came to still holds; where it doesn't, the work is done
                anew, once.
        """
        found = await self._done(name, work)
        if stands is None or await stands(found):
            return found
        if self._has_come_to(name, found):  # nobody else has seen to it yet
            del self._tasks[name]
        return await self._done(name, work)

    async def _done(self, name: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if name not in self._tasks or self._has_passed(self._tasks[name]):
            self._tasks[name] = asyncio.create_task(work())
        return await asyncio.shield(self._tasks[name])

    def _has_come_to(self, name: Hashable, found: T) -> bool:
        task = self._tasks.get(name)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return False
        return task.result() is found

    def _has_passed(self, task: asyncio.Task[T]) -> bool:
        if not task.done() or task.cancelled():
            return False
        return isinstance(task.exception(), self._passing)

    async def close(self) -> None:
        """Break off what is under way, and wait until it has cleaned up."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
