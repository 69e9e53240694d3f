"""Protocol between the processes of the harness: JSON lines and texts of a bounded size."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, Final

LINE_BYTES: Final = 64 * 1024
REASON_CHARACTERS: Final = 500
MESSAGE_CHARACTERS: Final = 4_000
DETAIL_CHARACTERS: Final = 20_000
LEAST_DETAIL_CHARACTERS: Final = 1_000

FILE_CLAIM: Final = "The file of checks can be imported."

# Requests the stacks of all threads. A real-time signal, because the stack under test may use
# SIGUSR1 and SIGUSR2.
STACKS_SIGNAL: Final = signal.SIGRTMIN + 5


def note(text: str) -> None:
    """Write a line to the container's log."""
    sys.stderr.write(f"matrixci: {text}\n")
    sys.stderr.flush()


def bounded(text: str, limit: int) -> str:
    """Return the text, with its middle cut out if it is longer than the limit.

    Args:
        text: any text.
        limit: maximum number of characters, at least 100.
    """
    if len(text) <= limit:
        return text
    keep = limit // 2 - 30
    cut = len(text) - 2 * keep
    return f"{text[:keep]}\n[... {cut:,} characters cut out ...]\n{text[-keep:]}"


def joined(stacks: str, printed: str) -> str:
    """Return the detail of a check: a traceback or stacks and the output, each bounded."""
    stacks, printed = stacks.strip("\n"), printed.strip("\n")
    if not stacks or not printed:
        return bounded(stacks or printed, DETAIL_CHARACTERS)
    share = DETAIL_CHARACTERS // 2 - 50
    return f"{bounded(stacks, share)}\n\n--- output ---\n{bounded(printed, share)}"


def encode(record: dict[str, Any]) -> bytes:
    """Return the record as one line of UTF-8, with a shorter detail if the line is too long.

    Raises:
        ValueError: a number is not finite, or the line is too long even with little detail.
        TypeError: a value cannot be represented in JSON.
    """
    line = _dump(record)
    while len(line) > LINE_BYTES:
        detail = record.get("detail", "")
        if len(detail) < LEAST_DETAIL_CHARACTERS:
            msg = f"a {record.get('kind')} line of {len(line):,} bytes"
            raise ValueError(msg)
        record = {**record, "detail": bounded(detail, len(detail) // 2)}
        line = _dump(record)
    return line


def _dump(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # UTF-8 has no lone surrogates, which os.fsdecode uses for invalid bytes. They become "?".
    return text.encode("utf-8", "replace") + b"\n"
