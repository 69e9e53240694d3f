"""Probes: interpreters started by a check to observe the effects of a snippet.

A probe has succeeded only if its snippet ran to its end and reported, with the token of this job
and over a pipe of its own, and its process then exited with 0. A crash, an abort, a hang, a flood
of output, `sys.exit()` and `os._exit(0)` are distinguished.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from support.channel import Channel, JobPipes, Stream, last
from support.observation import Observation, Preloaded, ProcessEnd, Raised, signal_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

INSIDE = Path(__file__).with_name("probe_inside.py")
FORBIDDEN = ("tensorflow", "keras", "tf_keras", "jax", "jaxlib", "flax")
KILL_SECONDS = 10  # to wait for a killed process

# Variables that the checks set themselves, and that must be unset otherwise.
SWITCHES = (
    *("USE_TF", "USE_TORCH", "USE_FLAX", "USE_JAX", "FORCE_TF_AVAILABLE"),
    *("TRANSFORMERS_NO_TF", "TRANSFORMERS_NO_FLAX", "TRANSFORMERS_NO_JAX"),
)
PLACES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Run(Protocol):
    """Runs a snippet in a fresh interpreter or in a fork, and observes it."""

    def __call__(
        self, source: str, *, paths: Sequence[Path] = (), limit: float = 60
    ) -> Observation:
        """Run the source with some paths first on sys.path, for at most `limit` seconds."""


def environment(
    changes: Mapping[str, str | None] | None = None, *, without: Iterable[str] = SWITCHES
) -> dict[str, str]:
    """Return this process's environment without pytest's variables, and with some changes.

    The sandbox has no network, so the Hugging Face hub is set to offline mode.

    Args:
        changes: variables to set; None removes a variable.
        without: variables to remove.
    """
    dropped = {
        *without,
        *PLACES,
        *(name for name, value in (changes or {}).items() if value is None),
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("PYTEST_", "ACCELERATE_"))
    }
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    set_ = {name: value for name, value in (changes or {}).items() if value is not None}
    return {**quiet, **kept, **set_}


class Interpreter:
    """A fresh interpreter that preloads imports once, and is forked for each snippet."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        preload: Sequence[str] = (),
        paths: Sequence[Path] = (),
        forbidden: Sequence[str] = FORBIDDEN,
        limit: float = 120,
    ) -> None:
        """Start the interpreter, and wait at most `limit` seconds until it is ready."""
        self.preloaded: dict[str, Preloaded] = {}
        self.failure: str | None = None  # why it is not ready
        connection, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = Channel(connection)
        output, write = os.pipe()
        start = {
            "paths": [str(path) for path in paths],
            "forbidden": list(forbidden),
            "preload": list(preload),
        }
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(INSIDE), str(remote.fileno()), json.dumps(start)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            pass_fds=[remote.fileno()],
            start_new_session=True,
        )
        remote.close()
        os.close(write)
        self._await_ready(Stream(output, last), limit)

    def _await_ready(self, output: Stream, limit: float) -> None:
        deadline = time.monotonic() + limit
        step = "starting"
        try:
            while (ready := self._channel.receive(deadline, output)) and "importing" in ready:
                step = f"importing {ready['importing']}"
        finally:
            output.close()
        if ready is None:
            timed_out = time.monotonic() >= deadline
            self.close()
            status = self._process.returncode
            how = f"was killed by {signal_name(status)}" if status < 0 else f"exited {status}"
            how = f"was not ready after {limit:.0f} s" if timed_out else how
            printed = output.data.decode(errors="replace")[-1500:]
            self.failure = f"while {step} the interpreter {how}\n{printed}".strip()
            return
        for name, loaded in ready["preloaded"].items():
            error = Raised.parse(loaded["error"]) if loaded["error"] else None
            self.preloaded[name] = Preloaded(loaded["seconds"], error)

    def run(
        self,
        source: str,
        *,
        environment: Mapping[str, str | None] | None = None,
        paths: Sequence[Path] = (),
        folder: Path | None = None,
        finalise: bool = False,
        limit: float = 60,
    ) -> Observation:
        """Run a snippet in a fork, and observe it.

        The source may call `report(value)`, `note(value)` and `enter("package.entry")`.

        Args:
            source: the snippet.
            environment: variables to set; None removes a variable.
            paths: folders that come first on sys.path.
            folder: working directory; by default this process's.
            finalise: end as an interpreter does, with all exit handlers. Slower.
            limit: seconds after which the snippet is killed.
        """
        token = secrets.token_hex(16)
        if self.failure is not None:
            return Observation.parse(b"", token, ProcessEnd(output=self.failure))
        job = {
            "token": token,
            "source": source,
            "environment": dict(environment or {}),
            "paths": [str(path) for path in paths],
            "folder": str(folder or Path.cwd()),
            "finalise": finalise,
        }
        began = time.monotonic()
        with JobPipes() as pipes:
            ended, timed_out = self._execute(job, pipes, began + limit)
        end = ProcessEnd(
            status=ended["status"] if ended else None,
            timed_out=timed_out,
            output=pipes.output.data.decode(errors="replace"),
            seconds=time.monotonic() - began,
            peak_mib=(ended["peak_kib"] if ended else 0) / 1024,
        )
        return Observation.parse(pipes.result.data, token, end)

    def _execute(
        self, job: Mapping[str, Any], pipes: JobPipes, deadline: float
    ) -> tuple[dict[str, Any] | None, bool]:
        """Run a job until it ends or its deadline has passed.

        Returns:
            The end of the process, None if it was lost; and whether it was killed at the deadline.
        """
        streams = (pipes.result, pipes.output)
        sent = self._channel.send(job, pipes)
        started = self._channel.receive(deadline, *streams) if sent else None
        if started is None:
            return None, False
        timed_out = False
        ended = self._channel.receive(deadline, *streams)
        if ended is None:
            timed_out = time.monotonic() >= deadline
            _kill(started["pid"])
            ended = self._channel.receive(time.monotonic() + KILL_SECONDS, *streams)
        _kill_group(started["pid"])  # processes that it left running
        return ended, timed_out

    def close(self) -> None:
        """Kill the interpreter; closing it twice is allowed."""
        self._channel.close()
        if self._process.poll() is None:
            _kill_group(self._process.pid)
        self._process.wait()

    def __enter__(self) -> Interpreter:  # noqa: PYI034 - typing has no Self before 3.11
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def run_fresh(
    source: str,
    *,
    environment: Mapping[str, str],
    paths: Sequence[Path] = (),
    folder: Path | None = None,
    forbidden: Sequence[str] = FORBIDDEN,
    limit: float = 60,
) -> Observation:
    """Run a snippet in an interpreter that has imported nothing yet, and observe it."""
    with Interpreter(environment, paths=paths, forbidden=forbidden, limit=limit) as interpreter:
        return interpreter.run(source, folder=folder, finalise=True, limit=limit)


def _kill(pid: int) -> None:
    _kill_group(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
