import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from matrixci.util.once_map import OnceMap


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; what hangs is a failure."""
    asyncio.run(asyncio.wait_for(test, 10))


class Work:
    """Counts how often it was begun and ended, and ends when it is message to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.cleaned_up = False
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.cleaned_up = True
            raise
        self.ended += 1
        return 7


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_work_runs_once_for_all_callers() -> None:
    async def test() -> None:
        once, work = OnceMap[int](), Work()
        work.go.set()
        assert await asyncio.gather(*(once("a", work) for _ in range(5))) == [7] * 5
        assert await once("a", work) == 7
        assert work.begun == 1

    run(test())


def test_other_keys_run_at_the_same_time() -> None:
    async def test() -> None:
        once, first, second = OnceMap[int](), Work(), Work()
        asking = [asyncio.create_task(once("a", first)), asyncio.create_task(once(("b",), second))]
        await turns()
        assert (first.begun, second.begun) == (1, 1)
        first.go.set()
        second.go.set()
        await asyncio.gather(*asking)

    run(test())


def test_exception_is_raised_for_all_callers() -> None:
    async def test() -> None:
        once = OnceMap[int]()
        begun = 0

        async def fail() -> int:
            nonlocal begun
            begun += 1
            raise ValueError("no")  # noqa: EM101

        outcomes = await asyncio.gather(
            *(once("a", fail) for _ in range(3)), return_exceptions=True
        )
        assert [str(outcome) for outcome in outcomes] == ["no"] * 3
        with pytest.raises(ValueError, match="no"):
            await once("a", fail)
        assert begun == 1

    run(test())


def test_temporary_failure_is_retried_for_later_callers() -> None:
    async def test() -> None:
        once = OnceMap[int](retry_on=(OSError,))
        begun = 0

        async def fail_once() -> int:
            nonlocal begun
            begun += 1
            if begun == 1:
                raise ConnectionError("away")  # noqa: EM101
            return begun

        outcomes = await asyncio.gather(
            *(once("a", fail_once) for _ in range(3)), return_exceptions=True
        )
        assert [str(outcome) for outcome in outcomes] == ["away"] * 3
        assert [await once("a", fail_once) for _ in range(2)] == [2, 2]

    run(test())


def test_work_continues_if_a_caller_is_cancelled() -> None:
    async def test() -> None:
        once, work = OnceMap[int](), Work()
        first, second = (asyncio.create_task(once("a", work)) for _ in range(2))
        await turns()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        work.go.set()
        assert await second == 7
        assert (work.begun, work.ended) == (1, 1)

    run(test())


def test_close_cancels_running_work_and_waits_for_it() -> None:
    async def test() -> None:
        once, work, done = OnceMap[int](), Work(), Work()
        done.go.set()
        assert await once("done", done) == 7
        asking = asyncio.create_task(once("a", work))
        await turns()
        await once.close()
        assert work.cleaned_up
        with pytest.raises(asyncio.CancelledError):
            await asking
        await once.close()  # and a second time

    run(test())


def test_closing_after_a_failure_raises_nothing() -> None:
    async def test() -> None:
        once = OnceMap[int]()

        async def fail() -> int:
            raise ValueError("no")  # noqa: EM101

        asking = asyncio.create_task(once("a", fail))
        await turns()
        await once.close()
        with pytest.raises(ValueError, match="no"):
            await asking

    run(test())


def test_invalid_result_is_recomputed_once_for_all_callers() -> None:
    async def test() -> None:
        once = OnceMap[list[int]]()
        begun = 0

        async def work() -> list[int]:
            nonlocal begun
            begun += 1
            await asyncio.sleep(0)
            return [begun]

        async def is_valid(found: list[int]) -> bool:
            await asyncio.sleep(0)
            return found != [1]

        assert await once("a", work) == [1]
        assert await asyncio.gather(*(once("a", work, is_valid) for _ in range(5))) == [[2]] * 5
        assert await once("a", work, is_valid) == [2]
        assert begun == 2

    run(test())


def test_result_that_is_never_valid_is_computed_twice_per_caller() -> None:
    async def test() -> None:
        once, work = OnceMap[int](), Work()
        work.go.set()

        async def is_valid(_: int) -> bool:
            return False

        assert await once("a", work, is_valid) == 7
        assert work.begun == 2

    run(test())
