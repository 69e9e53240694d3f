"""Child processes in their own process groups, which are killed on cancellation."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from matrixci.util.leftover_processes import owned
from matrixci.util.redaction import redact

_GRACE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """The result of a child that exited."""

    exit_status: int
    stdout: str
    stderr: str


async def run_process(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: IO[bytes] | None = None,
    time_limit: float | None = None,
) -> Completed:
    """Run a command, and wait for it.

    Args:
        argv: the command and its arguments, run without a shell.
        stdin: text for standard input; None: empty.
        env: the whole environment; None: that of this process. A marker of the owner is added.
        cwd: the working directory.
        log: a file for both outputs; the returned texts are then empty.
        time_limit: in seconds.

    Raises:
        TimeoutError: it exceeded `time_limit`; it and its children are killed.
        OSError: it could not be started.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if log is None else log,
            stderr=asyncio.subprocess.PIPE if log is None else asyncio.subprocess.STDOUT,
            env=owned(os.environ if env is None else env),
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches only matrixci, which then stops the group
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # If a start is cancelled, asyncio kills only the child, and waits for pipes that a
        # grandchild may hold open.
        await asyncio.shield(_end_started(starting))
        raise
    try:
        async with asyncio.timeout(time_limit):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except BaseException:
        await asyncio.shield(_end_group(process))
        raise
    return Completed(
        exit_status=process.returncode if process.returncode is not None else -1,
        stdout=redact((out or b"").decode(errors="replace")),
        stderr=redact((err or b"").decode(errors="replace")),
    )


async def _end_started(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    await _end_group(await starting)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Terminate a child and its group, and kill them if they do not exit in time."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Read the pipes to their end, so that the event loop can be closed. A process that left the
    # group may hold them open.
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.communicate()
