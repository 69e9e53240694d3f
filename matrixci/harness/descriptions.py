"""Descriptions of checks and of failures, read from pytest's items and reports."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import network

if TYPE_CHECKING:
    import pytest


def result(outcome: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the result of a check, with empty values for all fields that are not given."""
    empty: dict[str, Any] = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {}}
    return {"outcome": outcome, **empty, **fields}


def described(item: pytest.Item) -> dict[str, Any]:
    """Return the claim, reference, severity and line of a check."""
    doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip()
    name = item.name.removeprefix("test_").replace("_", " ")
    marks = {mark: item.get_closest_marker(mark) for mark in ("reference", "severity")}
    values = {name: mark.args[0] if mark and mark.args else None for name, mark in marks.items()}
    return {
        "claim": doc.splitlines()[0] if doc else name,
        "reference": values["reference"],
        "severity": values["severity"] or "error",
        "line": line_of(item),
    }


def line_of(item: pytest.Item) -> int | None:
    """Return the line of a check, from 1; None if its code is not in the file of its id."""
    path, line, _ = item.location
    if line is None or line < 0 or path != item.nodeid.partition("::")[0]:
        return None
    return line + 1


def line_of_error(error: BaseException, file: str) -> int | None:
    """Return the innermost line of a file in a traceback, from 1; None if there is none."""
    cause = error.__cause__ or error  # pytest wraps import errors
    if isinstance(cause, SyntaxError) and cause.filename == file:
        return cause.lineno
    frames = traceback.extract_tb(cause.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)


def message_of(call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Return the message of a failure: the assertion's message, or the exception."""
    lookup = getattr(report.longrepr, "errorstring", None)  # a fixture that does not exist
    if lookup:
        return str(lookup).partition("\n")[0]
    if call.excinfo is None:
        return report.longreprtext
    text = call.excinfo.exconly(tryshort=True)
    if call.excinfo.errisinstance(AssertionError):
        # pytest adds the comparison below the author's message; the detail keeps it.
        return text.removeprefix("AssertionError: ").partition("\nassert ")[0]
    return text.removeprefix("Failed: ")


def error_lines(text: str) -> str:
    """Return the lines that pytest marks as the error in a traceback, without source code."""
    return "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("E "))


def is_offline(call: pytest.CallInfo[None], report: pytest.TestReport) -> bool:
    """Return whether a check failed because the sandbox has no network."""
    by_type = call.excinfo is not None and network.is_cause(call.excinfo.value)
    return by_type or network.is_named(error_lines(report.longreprtext))
