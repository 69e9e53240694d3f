"""Calls of the Docker SDK from asyncio: run in a thread, with their errors translated."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import requests
from docker.errors import DockerException

from matrixci.errors import EngineError
from matrixci.util.redaction import redact

SDK_ERRORS: Final = (DockerException, requests.RequestException)

_log = logging.getLogger(__name__)
T = TypeVar("T")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the SDK's errors as EngineError."""
    try:
        yield
    except SDK_ERRORS as error:
        explanation = getattr(error, "explanation", None) or str(error)
        msg = f"The container engine failed: {redact(str(explanation))}"
        raise EngineError(msg) from error


async def call_engine(call: Callable[[], T]) -> T:
    """Return the result of a blocking call, run in a thread.

    Raises:
        EngineError: the engine failed.
    """
    with translated_errors():
        return await asyncio.to_thread(call)


async def call_to_end(call: Callable[[], T]) -> tuple[T, bool]:
    """Run a blocking call to its end even if this task is cancelled.

    A thread cannot be interrupted. Whatever it creates must be known, or nothing would remove it.

    Returns:
        The result, and whether the task was cancelled meanwhile.
    """
    future = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:  # noqa: PERF203
            cancelled = True
    if cancelled and future.exception() is not None:
        raise asyncio.CancelledError
    return future.result(), cancelled


def raise_if_cancelled(*, cancelled: bool) -> None:
    """Raise the cancellation that `call_to_end` has postponed."""
    if cancelled:
        raise asyncio.CancelledError


async def clean_up(step: Callable[[Any], object], resource: object) -> None:
    """Run a cleanup step to its end even if this task is cancelled; only log a lost engine."""
    try:
        _, cancelled = await call_to_end(partial(step, resource))
    except SDK_ERRORS as error:
        _log.warning("cannot remove %s: %s", resource, error)
    else:
        raise_if_cancelled(cancelled=cancelled)
