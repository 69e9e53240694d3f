"""Results of probes: how a snippet ended, what it reported, and which modules it executed."""

from __future__ import annotations

import enum
import json
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ended(enum.Enum):
    """How a probe ended."""

    REPORTED = "reported"
    RAISED = "raised"
    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed-out"
    LOST = "lost"


@dataclass(frozen=True)
class Raised:
    """An exception raised by a snippet or a preload."""

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = field(default="", repr=False)

    @classmethod
    def parse(cls, error: Mapping[str, Any]) -> Raised:
        """Parse the description that probe_inside.py sends."""
        bases = tuple(error["bases"])
        return cls(error["type"], error["message"], bases, error["traceback"])

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True)
class Preloaded:
    """Duration and error of one import of a shared interpreter."""

    seconds: float
    error: Raised | None


@dataclass(frozen=True)
class ProcessEnd:
    """How the process of a snippet ended, and what it printed."""

    status: int | None = None  # negative for a signal, None if the process was lost
    timed_out: bool = False
    output: str = field(default="", repr=False)  # the end of stdout and stderr
    seconds: float = 0.0
    peak_mib: float = 0.0


@dataclass(frozen=True)
class Observation:
    """Everything that was observed of one snippet."""

    ended: Ended
    status: int | None  # of the process: negative for a signal, None if it was lost
    value: Any  # JSON; passed to report() by the snippet
    notes: tuple[Any, ...]  # JSON; passed to note(), kept even if the snippet fails later
    raised: Raised | None
    chains: Mapping[str, tuple[str, ...]]  # forbidden module to its importers, outermost first
    seen: tuple[str, ...]  # forbidden packages in use at the end, however they were imported
    executed: tuple[str, ...] = field(repr=False)  # every module that was executed
    output: str = field(repr=False)  # the end of stdout and stderr
    seconds: float = 0.0
    peak_mib: float = 0.0

    @classmethod
    def parse(cls, data: bytes, token: str, end: ProcessEnd) -> Observation:
        """Parse the lines of the result pipe; lines with another token are ignored."""
        by_kind: dict[str, list[Mapping[str, Any]]] = {}
        for line in map(_parsed, data.splitlines()):
            if line.get("token") == token:
                by_kind.setdefault(line["kind"], []).append(line)
        value = by_kind.get("value", [{}])[-1]
        raised = next((Raised.parse(line["error"]) for line in by_kind.get("raised", [])), None)
        return cls(
            ended=_how(end, raised, reported=bool(value.get("reported"))),
            status=end.status,
            value=value.get("value"),
            notes=tuple(line["value"] for line in by_kind.get("note", [])),
            raised=raised,
            chains={line["name"]: tuple(line["chain"]) for line in by_kind.get("executed", [])},
            seen=tuple(value.get("seen", ())),
            executed=tuple(value.get("executed", ())),
            output=end.output,
            seconds=end.seconds,
            peak_mib=end.peak_mib,
        )

    @property
    def succeeded(self) -> bool:
        """Whether the snippet reported and ran to its end, and its process exited with 0."""
        return self.ended is Ended.REPORTED

    @property
    def ending(self) -> str:
        """How the snippet ended, in words."""
        if self.ended is Ended.REPORTED:
            return "reported"
        if self.ended is Ended.RAISED:
            return f"raised {self.raised}"
        if self.ended is Ended.SIGNALLED:
            return f"was killed by {signal_name(self.status)}"
        if self.ended is Ended.TIMED_OUT:
            return f"did not end within {self.seconds:.0f} s"
        if self.ended is Ended.LOST:
            return "was lost: the interpreter to fork it from has died"
        when = "after" if self.value is not None else "without"
        return f"exited with status {self.status} {when} a report"


def signal_name(status: int | None) -> str:
    """Return the name of the signal of a negative exit status."""
    try:
        return signal.Signals(-(status or 0)).name
    except ValueError:
        return f"signal {-(status or 0)}"


def _how(end: ProcessEnd, raised: Raised | None, *, reported: bool) -> Ended:
    if end.timed_out:
        return Ended.TIMED_OUT
    if end.status is None:
        return Ended.LOST
    if end.status < 0:
        return Ended.SIGNALLED
    if raised is not None:
        return Ended.RAISED
    return Ended.REPORTED if end.status == 0 and reported else Ended.EXITED


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:  # cut short when the process ended
        return {}
    return parsed if isinstance(parsed, dict) else {}
