import asyncio
import time
from collections.abc import Callable

import pytest

from matrixci.errors import (
    BaseImageError,
    EngineError,
    MatrixciError,
    NoInterpreterError,
    ResolverError,
)
from matrixci.execution.retry import RetryPolicy, retry
from matrixci.images.buildx import BuildError

AT_ONCE = RetryPolicy(retries=2, first_seconds=0.01, jitter_seconds=0.0)


class Attempts:
    """Fails so many times, then succeeds."""

    def __init__(self, error: Callable[[str], BaseException], failures: int) -> None:
        self.error = error
        self.failures = failures
        self.numbers: list[int] = []
        self.calls: list[tuple[int, str]] = []

    async def __call__(self, number: int) -> str:
        self.numbers.append(number)
        if number <= self.failures:
            msg = f"failure {number}"
            raise self.error(msg)
        return "done"

    def on_retry(self, number: int, seconds: float, error: BaseException) -> None:
        assert seconds >= 0
        self.calls.append((number, str(error)))


@pytest.mark.parametrize("error", [ResolverError, BaseImageError, EngineError])
def test_failure_of_the_infrastructure_is_retried(error: type[MatrixciError]) -> None:
    attempts = Attempts(error, 2)

    assert asyncio.run(retry(AT_ONCE, attempts, attempts.on_retry)) == "done"

    assert attempts.numbers == [1, 2, 3]
    assert attempts.calls == [(1, "failure 1"), (2, "failure 2")]


def test_persistent_failure_is_raised() -> None:
    attempts = Attempts(ResolverError, 9)

    with pytest.raises(ResolverError, match="failure 3"):
        asyncio.run(retry(AT_ONCE, attempts, attempts.on_retry))

    assert attempts.numbers == [1, 2, 3]
    assert attempts.calls == [(1, "failure 1"), (2, "failure 2")]


@pytest.mark.parametrize("error", [BuildError, ValueError, NoInterpreterError])
def test_other_failures_are_not_retried(error: type[BaseException]) -> None:
    attempts = Attempts(error, 1)

    with pytest.raises(error):
        asyncio.run(retry(AT_ONCE, attempts, attempts.on_retry))

    assert (attempts.numbers, attempts.calls) == ([1], [])


def test_no_retries_are_one_attempt() -> None:
    attempts = Attempts(EngineError, 1)

    with pytest.raises(EngineError):
        asyncio.run(retry(RetryPolicy(retries=0), attempts, attempts.on_retry))

    assert (attempts.numbers, attempts.calls) == ([1], [])


def test_cancellation_interrupts_the_wait() -> None:
    attempts = Attempts(EngineError, 9)

    async def cancelled() -> None:
        patience = RetryPolicy(retries=2, first_seconds=600.0)
        task = asyncio.create_task(retry(patience, attempts, attempts.on_retry))
        for _ in range(100):
            await asyncio.sleep(0)
        assert attempts.calls
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    began = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - began < 10
    assert attempts.numbers == [1]


def test_each_wait_is_longer_and_none_is_endless() -> None:
    seconds: list[float] = []

    async def fails(number: int) -> str:
        msg = f"failure {number}"
        raise EngineError(msg)

    def on_retry(_: int, wait: float, __: BaseException) -> None:
        seconds.append(wait)

    patience = RetryPolicy(retries=4, first_seconds=0.01, most_seconds=0.05, jitter_seconds=0.0)
    with pytest.raises(EngineError):
        asyncio.run(retry(patience, fails, on_retry))
    assert seconds == pytest.approx([0.01, 0.03, 0.05, 0.05])
