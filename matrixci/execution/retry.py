"""What the infrastructure failed is tried again; what the subject failed never is."""

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
    """How often something is tried again, and how long is waited before."""

    retries: int
    first_seconds: float = 3.0
    """Before the first retry; three times as long before each that follows."""
    most_seconds: float = 60.0
    jitter_seconds: float = 2.0
    """At most so much is added by chance, so that cells that failed together spread out."""


OnRetry = Callable[[int, float, BaseException], None]
"""Given which attempt failed, the seconds until the next, and why."""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, INFRASTRUCTURE) and not isinstance(error, _PERMANENT)


async def retry(
    policy: RetryPolicy, attempt: Callable[[int], Awaitable[T]], on_retry: OnRetry
) -> T:
    """Return what an attempt comes to, tried again where the infrastructure failed it.

    A cancellation is felt at once, while waiting, too.

    Args:
        policy: how often and when.
        attempt: given its number, from 1 on.
        on_retry: told of each attempt that failed and is followed by another.

    Raises:
        ResolverError: the last attempt failed like this.
        BaseImageError: the last attempt failed like this.
        EngineError: the last attempt failed like this.
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
