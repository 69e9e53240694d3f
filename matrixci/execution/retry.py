"""Retries of failures of the infrastructure; failures of the subject are never retried."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from matrixci.errors import INFRASTRUCTURE, LimitsError, NoInterpreterError

_PERMANENT: Final = (LimitsError, NoInterpreterError)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often to retry, and how long to wait before."""

    retries: int
    first_seconds: float = 3.0
    """Wait before the first retry; each further wait is three times as long."""
    most_seconds: float = 60.0
    jitter_seconds: float = 2.0
    """Maximum random jitter, so that cells that failed together do not retry together."""


OnRetry = Callable[[int, float, BaseException], None]
"""Called with the number of the failed attempt, the seconds until the next, and the error."""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, INFRASTRUCTURE) and not isinstance(error, _PERMANENT)


async def retry(
    policy: RetryPolicy, attempt: Callable[[int], Awaitable[T]], on_retry: OnRetry
) -> T:
    """Return the result of an attempt, with retries if the infrastructure failed.

    Args:
        policy: how often and when to retry.
        attempt: called with its number, starting at 1.
        on_retry: called before each wait.

    Raises:
        ResolverError: raised by the last attempt.
        BaseImageError: raised by the last attempt.
        EngineError: raised by the last attempt.
    """

    def before_waiting(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            on_retry(state.attempt_number, state.upcoming_sleep, error)

    retrying = AsyncRetrying(
        stop=stop_after_attempt(policy.retries + 1),
        wait=wait_exponential(multiplier=policy.first_seconds, max=policy.most_seconds, exp_base=3)
        + wait_random(0, policy.jitter_seconds),
        retry=retry_if_exception(_may_pass),
        before_sleep=before_waiting,
        reraise=True,
    )
    number = 0

    async def one() -> T:
        nonlocal number
        number += 1
        return await attempt(number)

    return await retrying(one)
