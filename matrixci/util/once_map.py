"""Run each keyed coroutine once and share its result among all callers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class OnceMap(Generic[T]):
    """Run each keyed coroutine once and share its result among all callers.

    The coroutine keeps running if a caller is cancelled; `close` cancels what is left.
    """

    def __init__(self, retry_on: tuple[type[Exception], ...] = ()) -> None:
        """Set up; after one of the exceptions `retry_on`, the next caller starts again."""
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._retry_on = retry_on

    async def __call__(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, T]],
        is_valid: Callable[[T], Awaitable[bool]] | None = None,
    ) -> T:
        """Return the result of the work with this key, or raise its exception.

        Args:
            key: identifies the work.
            work: creates the coroutine.
            is_valid: returns whether a result is still valid; if not, the work runs once again.
        """
        result = await self._result(key, work)
        if is_valid is None or await is_valid(result):
            return result
        if self._has_result(key, result):  # unless another caller has restarted it
            del self._tasks[key]
        return await self._result(key, work)

    async def _result(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if key not in self._tasks or self._may_retry(self._tasks[key]):
            self._tasks[key] = asyncio.create_task(work())
        return await asyncio.shield(self._tasks[key])

    def _has_result(self, key: Hashable, result: T) -> bool:
        task = self._tasks.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return False
        return task.result() is result

    def _may_retry(self, task: asyncio.Task[T]) -> bool:
        if not task.done() or task.cancelled():
            return False
        return isinstance(task.exception(), self._retry_on)

    async def close(self) -> None:
        """Cancel running work, and wait until it has cleaned up."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
