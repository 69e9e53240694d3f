"""State of the checks in a cell, and the results file that records it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import network
import protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COLLECTED_PER_LINE: Final = 16
OUTCOMES: Final = ("passed", "failed", "skipped", "known-issue")  # that a process can report


class Results:
    """The results file; each record is written at once, as one line."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            FileExistsError: another process has already written results.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o644)

    def write(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Append one record.

        Raises:
            ValueError: it cannot be written as one line of JSON.
        """
        at = datetime.now(timezone.utc).isoformat()
        data = protocol.encode({"kind": kind, "at": at, **fields})
        while data:
            data = data[os.write(self._descriptor, data) :]


class RecordWriter(Protocol):
    """Destination of the records of a ledger."""

    def write(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Write one record."""


class Ledger:
    """Validates the events of the pytest plugin and writes the records of the results file.

    The events come from the process under test, so events out of order are dropped.
    """

    def __init__(self, results: RecordWriter) -> None:
        """Start without any checks."""
        self.results = results
        self.checks: list[str] | None = None  # ids of the collected checks; None before
        self.ended = 0
        self.counts: Counter[str] = Counter()  # outcome to number of checks
        self.failed: list[str] = []  # ids of the checks that failed, crashed or timed out
        self.collecting = False
        self.since = monotonic()  # time of the last event
        self._found: list[dict[str, Any]] = []  # in the current collection
        self._begun: set[str] = set()
        self._check: str | None = None
        self._file: str | None = None
        self._broken: dict[str, dict[str, Any]] = {}

    @property
    def running(self) -> str | None:
        """The running check, or the file that is being imported."""
        return self._check or self._file

    @property
    def broken(self) -> list[str]:
        """The files whose import crashed or hung."""
        return sorted(self._broken)

    @property
    def remaining(self) -> list[str]:
        """The checks that have not started."""
        return [check for check in self.checks or () if check not in self._begun]

    @property
    def summary(self) -> str:
        """The number of checks per outcome, in words."""
        missing = len(self.checks or ()) - self.ended
        counts = {**self.counts, "not finished": missing}
        counted = (f"{count} {outcome}" for outcome, count in sorted(counts.items()) if count)
        return ", ".join(counted) or "no checks"

    @property
    def steps(self) -> int:
        """Progress: the number of started checks and broken files."""
        return len(self._begun) + len(self._broken)

    def restart(self) -> None:
        """Prepare for a new collection."""
        self.collecting = True
        self._found = []
        self.since = monotonic()

    def handle(self, line: bytes, output: Callable[[], str]) -> bool:
        """Handle an event of the plugin; drop it with a note if it is invalid or out of order.

        Args:
            line: the event as JSON.
            output: returns the output since the last begin.

        Returns:
            Whether a check or an import has started.

        Raises:
            SystemExit: the collection is incomplete.
        """
        before = self.running
        try:
            self._act(_parsed(line), output)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            protocol.note(
                f"dropped an invalid event: {type(error).__name__}: {error}: {line[:200]!r}"
            )
        return self.running not in (None, before)

    def record_crash(self, outcome: str, reason: str, message: str, detail: str) -> None:
        """Record that the running check or import crashed or was killed."""
        if self.running is None:
            return
        protocol.note(f"{self.running}: {outcome} ({reason})")
        metrics = {"seconds": round(monotonic() - self.since, 3)}
        message = network.hinted(message) if network.is_named(detail) else message
        fields = {
            "outcome": outcome,
            "reason": reason,
            "message": message,
            "detail": detail,
            "metrics": metrics,
            "line": _line_in(detail, self._file),
        }
        if self._check:
            self._write_end(self._check, fields)
        elif self._file:
            self._broken[self._file] = fields
        self._check = self._file = None

    def close(self) -> None:
        """Write the footer."""
        if self.checks is None and self._broken:
            self._list([])
        self.results.write("footer", checks=len(self.checks or ()), ended=self.ended)

    def _act(self, event: dict[str, Any], output: Callable[[], str]) -> None:
        kind = event["kind"]
        if kind == "importing":
            self._file = event["id"]
        elif kind == "found":
            self._found.append(_described(event))
        elif kind == "collected":
            self._collected(event["count"])
        elif kind == "begin":
            self._begin(event["id"])
        elif kind == "end":
            self._end(event, output)
        elif kind == "waiting":
            return
        else:
            msg = f"unknown kind {kind!r}"
            raise ValueError(msg)
        self.since = monotonic()

    def _collected(self, count: int) -> None:
        self._file = None
        self.collecting = False
        if self.checks is not None:
            return  # after a restart, the first collection counts
        if count != len(self._found):
            # Nobody would notice that an unlisted check did not run.
            valid = len(self._found)
            sys.exit(f"matrixci: {count} checks were collected, but only {valid} were reported")
        self._list(self._found)

    def _list(self, found: list[dict[str, Any]]) -> None:
        plain = {"claim": protocol.FILE_CLAIM, "reference": None, "severity": "error"}
        broken = ({"id": file, **plain, "line": self._broken[file]["line"]} for file in self.broken)
        listed = [*found, *broken]
        for first in range(0, max(len(listed), 1), COLLECTED_PER_LINE):
            self.results.write("collected", checks=listed[first : first + COLLECTED_PER_LINE])
        self.checks = list(dict.fromkeys(check["id"] for check in listed))
        for file, fields in self._broken.items():
            self._begin(file)
            self._write_end(file, fields)
            self._check = None

    def _begin(self, check: str) -> None:
        if check not in self.remaining:
            msg = "the check was not collected, or has already started"
            raise ValueError(msg)
        self._begun.add(check)
        self._check = check
        self.results.write("begin", id=check)

    def _end(self, event: dict[str, Any], output: Callable[[], str]) -> None:
        if event["id"] != self._check or event["outcome"] not in OUTCOMES:
            msg = "the check is not running, or its outcome is not valid"
            raise ValueError(msg)
        printed = output() if event["outcome"] == "failed" else ""
        detail = protocol.joined(event["detail"], printed)
        message = event["message"]
        if network.is_named(printed):  # probably by a child process
            message = network.hinted(message)
        self._write_end(event["id"], {**event, "message": message, "detail": detail})
        self._check = None

    def _write_end(self, check: str, fields: dict[str, Any]) -> None:
        self.results.write(
            "end",
            id=check,
            outcome=fields["outcome"],
            reason=protocol.bounded(fields["reason"], protocol.REASON_CHARACTERS),
            need=fields.get("need"),
            message=protocol.bounded(fields["message"], protocol.MESSAGE_CHARACTERS),
            detail=fields["detail"],
            metrics={name: float(value) for name, value in fields["metrics"].items()},
        )
        self.ended += 1
        self.counts[fields["outcome"]] += 1
        if fields["outcome"] not in ("passed", "skipped", "known-issue"):
            self.failed.append(check)


def _line_in(stacks: str, file: str | None) -> int | None:
    """Return the innermost line of a file in stacks; None if there is none."""
    pattern = rf'^  File "[^"]*/{re.escape(file)}", line (\d+)' if file else ""
    found = re.search(pattern, stacks, re.MULTILINE) if pattern else None
    return int(found[1]) if found else None


def _parsed(line: bytes) -> dict[str, Any]:
    """Parse an event; raise ValueError if it is too long or not JSON."""
    if len(line) > protocol.LINE_BYTES:
        msg = f"more than {protocol.LINE_BYTES:,} bytes"
        raise ValueError(msg)
    event: dict[str, Any] = json.loads(line)
    return event


def _described(event: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a check; raise ValueError if it is invalid."""
    check = {key: event[key] for key in ("id", "claim", "reference", "severity", "line")}
    if not isinstance(check["id"], str) or check["severity"] not in ("error", "warning"):
        msg = f"id {check['id']!r}, severity {check['severity']!r}"
        raise ValueError(msg)
    if check["line"] is not None and int(check["line"]) < 1:
        msg = f"line {check['line']!r}"
        raise ValueError(msg)
    check["claim"] = protocol.bounded(check["claim"], protocol.REASON_CHARACTERS)
    return check
