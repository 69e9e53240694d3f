"""Probes: interpreters that a check starts to observe one thing.

A probe ends well only if its snippet ran to its end and said so, with the token of this very job,
over a pipe of its own, and its process then exited 0. A crash, an abort, a hang, a flood of output,
`sys.exit()` and `os._exit(0)` are each seen as what they are.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

INSIDE = Path(__file__).with_name("probe_inside.py")
TAIL = 8 * 1024  # bytes of output that are kept
MOST = 8 * 1024 * 1024  # bytes of result that are read
FORBIDDEN = ("tensorflow", "keras", "tf_keras", "jax", "jaxlib", "flax")

# What a claim sets by itself, and so must not find set.
SWITCHES = (
    *("USE_TF", "USE_TORCH", "USE_FLAX", "USE_JAX", "FORCE_TF_AVAILABLE"),
    *("TRANSFORMERS_NO_TF", "TRANSFORMERS_NO_FLAX", "TRANSFORMERS_NO_JAX"),
)
PLACES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Run(Protocol):
    """Executes a snippet and observes it, in either form."""

    def __call__(
        self, source: str, *, paths: Sequence[Path] = (), limit: float = 60
    ) -> Observation:
        """Execute the source, with paths that come first and at most `limit` seconds."""


class Ended(enum.Enum):
    """How a probe came to its end."""

    REPORTED = "reported"
    RAISED = "raised"
    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed-out"
    LOST = "lost"


@dataclass(frozen=True)
class Raised:
    """An exception that a snippet, or a preload, came to."""

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = field(default="", repr=False)

    @classmethod
    def parse(cls, error: Mapping[str, Any]) -> Raised:
        """Read what the inside of a probe described."""
        bases = tuple(error["bases"])
        return cls(error["type"], error["message"], bases, error["traceback"])

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True)
class Preloaded:
    """How one import of a shared interpreter went."""

    seconds: float
    error: Raised | None


@dataclass(frozen=True)
class Observation:
    """What was observed of one snippet."""

    ended: Ended
    status: int | None  # of the process: negative for a signal, None where it was lost
    value: Any  # JSON; what the snippet gave to report()
    notes: tuple[Any, ...]  # JSON; what it gave to note(), kept whatever came after
    raised: Raised | None
    chains: Mapping[str, tuple[str, ...]]  # forbidden module to who imported it, outermost first
    seen: tuple[str, ...]  # forbidden packages in use at the end, however they came in
    executed: tuple[str, ...] = field(repr=False)  # every module that was executed
    output: str = field(repr=False)  # the end of stdout and stderr
    seconds: float = 0.0
    peak_mib: float = 0.0

    @property
    def well(self) -> bool:
        """The snippet ran to its end, reported, and its process exited 0."""
        return self.ended is Ended.REPORTED

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.ended is Ended.REPORTED:
            return "reported"
        if self.ended is Ended.RAISED:
            return f"raised {self.raised}"
        if self.ended is Ended.SIGNALLED:
            return f"was killed by {signal_name(self.status)}"
        if self.ended is Ended.TIMED_OUT:
            return f"did not end within {self.seconds:.0f} s"
        if self.ended is Ended.LOST:
            return "was lost: the interpreter it was to be forked from is gone"
        when = "after" if self.value is not None else "without"
        return f"exited with status {self.status} {when} a report"


def signal_name(status: int | None) -> str:
    """Return the name of the signal that a negative exit status stands for."""
    try:
        return signal.Signals(-(status or 0)).name
    except ValueError:
        return f"signal {-(status or 0)}"


def environment(
    changes: Mapping[str, str | None] | None = None, *, without: Iterable[str] = SWITCHES
) -> dict[str, str]:
    """Return this process's environment with nothing of pytest's in it, and with some changes.

    None removes a name. There is no network but loopback, so the hub is told not to try.
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


class _Stream:
    """Reads a pipe without ever waiting for it, and keeps a bounded part."""

    def __init__(self, fd: int, keep: Callable[[bytes], bytes]) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.data = b""
        self.open = True
        self.keep = keep

    def read(self) -> bool:
        """Read what is there; False where there is nothing more for now."""
        try:
            chunk = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        self.data = self.keep(self.data + chunk)
        return True

    def close(self) -> None:
        """Read what is left of an ended process, then close."""
        for _ in range(MOST >> 16):
            if not self.open or not self.read():
                break
        os.close(self.fd)


def _last(data: bytes) -> bytes:
    return data[-TAIL:]


def _first(data: bytes) -> bytes:
    return data[:MOST]


class Interpreter:
    """A fresh interpreter that imports what it is told to, once, and is forked for each snippet."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        preload: Sequence[str] = (),
        paths: Sequence[Path] = (),
        forbidden: Sequence[str] = FORBIDDEN,
        limit: float = 120,
    ) -> None:
        """Start it, and wait at most `limit` seconds until it is ready."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, write = os.pipe()
        start = {
            "paths": [str(path) for path in paths],
            "forbidden": list(forbidden),
            "preload": list(preload),
        }
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(INSIDE), str(theirs.fileno()), json.dumps(start)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        os.close(write)
        stream = _Stream(output, _last)
        deadline = time.monotonic() + limit
        doing = "starting"
        try:
            while (ready := self._await(deadline, stream)) and "importing" in ready:
                doing = f"importing {ready['importing']}"
        finally:
            stream.close()
        self.preloaded: dict[str, Preloaded] = {}
        self.failure: str | None = None  # why it isn't ready, where it isn't
        if ready is None:
            self.close()
            said = stream.data.decode(errors="replace")[-1500:]
            status = self._process.returncode
            if time.monotonic() >= deadline:
                how = f"wasn't ready after {limit:.0f} s"
            else:
                how = f"was killed by {signal_name(status)}" if status < 0 else f"exited {status}"
            self.failure = f"while {doing} the interpreter {how}\n{said}".strip()
            return
        for name, loaded in ready["preloaded"].items():
            error = Raised.parse(loaded["error"]) if loaded["error"] else None
            self.preloaded[name] = Preloaded(loaded["seconds"], error)

    def _await(self, deadline: float, *streams: _Stream) -> dict[str, Any] | None:
        """Wait for a message, draining the streams meanwhile; None past the deadline or at EOF."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            for stream in streams:
                if stream.open:
                    selector.register(stream.fd, selectors.EVENT_READ, stream)
            while (left := deadline - time.monotonic()) > 0:
                for key, _events in selector.select(left):
                    stream = key.data
                    if stream is None:
                        try:
                            message = self._control.recv(1 << 18)
                        except ConnectionError:
                            return None
                        return json.loads(message) if message else None
                    stream.read()
                    if not stream.open:
                        selector.unregister(stream.fd)
        return None

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
        """Fork, execute the source with some changes to the environment, and observe.

        The source may call `report(value)`, `note(value)` and `enter("package.entry")`. To finalise
        is to end as an interpreter does, exit handlers and all: true to life, and slower.
        """
        token = secrets.token_hex(16)
        job = {
            "token": token,
            "source": source,
            "environment": dict(environment or {}),
            "paths": [str(path) for path in paths],
            "folder": str(folder or Path.cwd()),
            "finalise": finalise,
        }
        if self.failure is not None:
            return _observed(b"", token, None, late=False, output=self.failure, seconds=0)
        began = time.monotonic()
        result_fd, result_write = os.pipe()
        output_fd, output_write = os.pipe()
        result, output = _Stream(result_fd, _first), _Stream(output_fd, _last)
        started: dict[str, Any] | None = None
        ended: dict[str, Any] | None = None
        late = False
        try:
            with contextlib.suppress(OSError):
                socket.send_fds(
                    self._control, [json.dumps(job).encode()], [result_write, output_write]
                )
                started = self._await(began + limit, result, output)
            if started is not None:
                ended = self._await(began + limit, result, output)
                if ended is None:
                    late = time.monotonic() >= began + limit
                    _end(started["pid"])
                    ended = self._await(time.monotonic() + 10, result, output)
                _end_group(started["pid"])  # whatever it left behind
        finally:
            os.close(result_write)
            os.close(output_write)
            result.close()
            output.close()
        return _observed(
            result.data,
            token,
            ended,
            late=late,
            output=output.data.decode(errors="replace"),
            seconds=time.monotonic() - began,
        )

    def close(self) -> None:
        """End it; it may be ended more than once."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL) if self._process.poll() is None else None
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


def _end(pid: int) -> None:
    _end_group(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _observed(
    data: bytes,
    token: str,
    ended: Mapping[str, Any] | None,
    *,
    late: bool,
    output: str,
    seconds: float,
) -> Observation:
    """Make an observation of what came through the pipe and of how the process ended."""
    lines = [line for line in map(_parsed, data.splitlines()) if line.get("token") == token]
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        by_kind.setdefault(line["kind"], []).append(line)
    closing = by_kind.get("value", [{}])[-1]
    raised = next((Raised.parse(line["error"]) for line in by_kind.get("raised", [])), None)
    status: int | None = ended["status"] if ended else None
    if late:
        how = Ended.TIMED_OUT
    elif status is None:
        how = Ended.LOST
    elif status < 0:
        how = Ended.SIGNALLED
    elif raised is not None:
        how = Ended.RAISED
    elif status == 0 and closing.get("reported"):
        how = Ended.REPORTED
    else:
        how = Ended.EXITED
    return Observation(
        ended=how,
        status=status,
        value=closing.get("value"),
        notes=tuple(line["value"] for line in by_kind.get("note", [])),
        raised=raised,
        chains={line["name"]: tuple(line["chain"]) for line in by_kind.get("executed", [])},
        seen=tuple(closing.get("seen", ())),
        executed=tuple(closing.get("executed", ())),
        output=output,
        seconds=seconds,
        peak_mib=(ended["peak_kib"] if ended else 0) / 1024,
    )


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:  # a line that the end of the process cut off
        return {}
    return parsed if isinstance(parsed, dict) else {}


def run_fresh(
    source: str,
    *,
    environment: Mapping[str, str],
    paths: Sequence[Path] = (),
    folder: Path | None = None,
    forbidden: Sequence[str] = FORBIDDEN,
    limit: float = 60,
) -> Observation:
    """Execute the source in an interpreter that has imported nothing yet, and observe."""
    with Interpreter(environment, paths=paths, forbidden=forbidden, limit=limit) as interpreter:
        return interpreter.run(source, folder=folder, finalise=True, limit=limit)
