"""The pytest plugin that tells the supervisor what happens, and serves the checks."""

from __future__ import annotations

import fcntl
import importlib.metadata
import math
import os
import re
import termios
import traceback
from dataclasses import make_dataclass
from time import monotonic, sleep
from types import ModuleType
from typing import TYPE_CHECKING, Any

import network
import pytest
import wire
from selection import is_by_id, names

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

READ_SECONDS = 1.0
FIGURES = 200  # of one check
NAME_CHARACTERS = 100  # of a figure
PROVIDERS = {"distributed": "torch"}  # a need to the distribution, where that isn't its name
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
EXPECTED = "expected failures of built-in checks belong in matrix.yaml's known-issues"
MARKERS = (
    "reference(name): where the claim comes from, as owner/repository#number",
    "needs(*what, count=1): without it the check is skipped: 'gpu', 'distributed', a distribution",
    "severity(level): 'error' or 'warning'",
)


class Plugin:
    """Tells of collection, begin and end; gives the checks their fixtures."""

    def __init__(self, orders: dict[str, Any], descriptor: int) -> None:
        """Keep the orders, the descriptor to say things to, and one to see the output by."""
        self.orders = orders
        self.only: list[str] | None = orders["only"]
        self.files = None if self.only is None else {check.split("::")[0] for check in self.only}
        self.descriptor = descriptor
        self.output = os.dup(2)
        self.process = os.getpid()
        self.unimported: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, int | None] = {}  # of the files in unimported, where known
        self.end: dict[str, Any] = {}
        self.offline = False  # the check under way failed for the lack of a network

    def say(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Say one thing to the supervisor."""
        if os.getpid() != self.process:
            return  # a check forked, and the copy came back to pytest: it speaks for nobody
        data = wire.encode({"kind": kind, **fields})
        while data:
            data = data[os.write(self.descriptor, data) :]

    def say_end(self, check: str, end: dict[str, Any]) -> None:
        """Say what a check came to."""
        message = wire.bounded(end["message"], wire.MESSAGE_CHARACTERS)
        detail = wire.bounded(end["detail"], wire.DETAIL_CHARACTERS)
        self.say("end", **{**end, "id": check, "message": message, "detail": detail})

    def await_read(self, descriptor: int | None = None) -> None:
        """Wait until the supervisor took in all that was printed, so that it knows whose it is.

        Args:
            descriptor: of another pipe to it, unless it is that of the output.
        """
        end = self.output if descriptor is None else descriptor
        deadline = monotonic() + READ_SECONDS
        while any(fcntl.ioctl(end, termios.FIONREAD, bytes(4))) and monotonic() < deadline:
            sleep(0.001)

    def await_written(self) -> None:
        """Wait until what was said is in the results: a check may take the supervisor along."""
        for _ in range(2):  # it takes one in after it has acted on all before
            self.say("waiting")
            self.await_read(self.descriptor)

    # Collection

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the markers known; any other is an error of a built-in check that has it."""
        for marker in MARKERS:
            config.addinivalue_line("markers", marker)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out files whose import took the process down, or that hold nothing asked for."""
        if collection_path.suffix != ".py":
            return None
        file = os.path.relpath(collection_path, self.orders["checks"])
        unasked = self.files is not None and file not in self.files
        return True if unasked or file in self.orders["ignore"] else None

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Tell which file is imported now: it may take the process down."""
        if isinstance(collector, pytest.Module):
            self.await_read()
            self.say("importing", id=collector.nodeid)

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]
    ) -> None:
        """Keep the line at which a file can't be imported; its report follows."""
        if isinstance(node, pytest.Module) and call.excinfo is not None:
            self.lines[node.nodeid] = line_of_error(call.excinfo.value, str(node.path))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what can't be imported, or skips itself: it is reported like a check."""
        if report.failed:
            text = report.longreprtext
            message = marked(text) or text.strip().rpartition("\n")[2]
            message = network.hinted(message) if network.is_named(message) else message
            self.unimported[report.nodeid] = ended("failed", message=message, detail=text)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            reason = reason.removeprefix("Skipped: ")
            self.unimported[report.nodeid] = ended("skipped", reason=reason)
        self.say("importing", id=None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Keep what the orders name, and tell what is left.

        This hook and not pytest_collection_finish, which is called after a broken-off collection
        too, when what was found is not all there is.
        """
        yield
        select = self.orders["cell"]["select"]
        wanted = {item.nodeid for item in items}
        if is_by_id(select):
            wanted = {check for check in wanted if names(select, check)}
        if self.only is not None:
            wanted &= set(self.only)
        if len(wanted) < len(items):
            config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in wanted])
            items[:] = [item for item in items if item.nodeid in wanted]
        self.tell_collected(items)

    def tell_collected(self, items: list[pytest.Item]) -> None:
        """Tell what was found, also what was asked for and is not there; then what can't be run."""
        checks = {item.nodeid: described(item) for item in items}
        plain = {"reference": None, "severity": "error"}
        for file in self.unimported:
            checks[file] = {"claim": wire.FILE_CLAIM, **plain, "line": self.lines.get(file)}
        for check in self.only or ():
            checks.setdefault(check, {"claim": "", **plain, "line": None})
        for check, description in checks.items():
            self.say("found", id=check, **description)
        self.say("collected", count=len(checks))
        for file, end in self.unimported.items():
            self.say("begin", id=file)
            self.say_end(file, end)

    # Checks

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str]:
        """Have pytest's terminal print nothing while a check runs: its output is the check's."""
        return report.outcome, "", ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell the begin."""
        print(nodeid)  # noqa: T201 - for the log
        self.end = ended("passed", figures={"seconds": 0.0})
        self.offline = False
        self.await_read()
        self.say("begin", id=nodeid)
        self.await_written()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a check that needs what the machine lacks."""
        for mark in item.iter_markers("needs"):
            for need in mark.args:
                if need == "gpu":
                    self.require_gpu(**mark.kwargs)
                elif isinstance(need, str) and DISTRIBUTION.fullmatch(need):
                    require_distribution(PROVIDERS.get(need, need))
                else:
                    known = "'gpu', 'distributed' or the name of a distribution"
                    pytest.fail(f"needs() takes {known}, not {need!r}", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take setup, call and teardown together: what failed first is what is told."""
        if os.getpid() != self.process:
            # A check forked, and the copy came back: it must not run the other checks as well.
            os._exit(call.excinfo is not None)
        report = yield
        end = self.end
        end["figures"]["seconds"] = round(end["figures"]["seconds"] + report.duration, 3)
        if hasattr(report, "wasxfail"):
            self.take_expected(call, report)
        elif report.failed:
            if end["outcome"] != "failed":
                end.update(outcome="failed", reason="", need=None, message=message_of(call, report))
            end["detail"] += report.longreprtext + "\n"
            self.offline = self.offline or is_offline(call, report)
        elif report.skipped and end["outcome"] == "passed":
            end["outcome"] = "skipped"
            end["reason"] = str(getattr(call.excinfo and call.excinfo.value, "msg", ""))
        return report

    def take_expected(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Take what a suite marks with xfail as pytest does: expected, or passed all the same."""
        if self.orders["cell"]["builtin"]:
            self.end.update(outcome="failed", message=EXPECTED)
            return
        if self.end["outcome"] == "failed":
            return  # an earlier phase failed, and no expectation of a later one takes that back
        reason = str(report.wasxfail).removeprefix("reason: ")
        if report.skipped:
            self.end.update(outcome="known", reason=f"xfail: {reason or 'no reason given'}")
            # pytest.xfail() ends a check by an exception of its own, which says nothing more.
            if call.excinfo is not None and not call.excinfo.errisinstance(pytest.xfail.Exception):
                self.end["message"] = message_of(call, report)
                self.end["detail"] += report.longreprtext + "\n"
        elif self.end["outcome"] == "passed":  # a strict one that passes is a failure to pytest
            self.end["reason"] = f"passed, although marked xfail: {reason or 'no reason given'}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell the end."""
        self.await_read()
        if self.offline and self.end["outcome"] == "failed":
            self.end["message"] = network.hinted(self.end["message"])
        self.say_end(nodeid, self.end)
        print(f"{nodeid}: {self.end['outcome']}")  # noqa: T201 - for the log

    def require_gpu(self, count: int = 1) -> None:
        """Skip the check under way where torch sees fewer GPUs, or the cell is not of a GPU."""
        device = self.orders["cell"]["device"]
        if device != "cuda":
            pytest.skip(f"the cell's device is {device}")
        if self.orders["gpus"] < count:
            self.end["need"] = "gpu"
            pytest.skip("no GPU" if not self.orders["gpus"] else f"fewer than {count} GPUs")

    # Fixtures

    @pytest.fixture
    def device(self) -> str:
        """Return the cell's device, "cpu" or "cuda"; skip where it is cuda and there is no GPU."""
        device: str = self.orders["cell"]["device"]
        if device == "cuda":
            self.require_gpu()
        return device

    @pytest.fixture
    def figure(self) -> Callable[[str, float], None]:
        """Return a function that records a number for the report, the unit in its name."""

        def record(name: str, value: float) -> None:
            number = float(value)
            figures = self.end["figures"]
            if not math.isfinite(number):
                msg = f"figure {name} is {number}"
                raise ValueError(msg)
            if name == "seconds" or len(name) > NAME_CHARACTERS or len(figures) >= FIGURES:
                msg = f"figure {name[:NAME_CHARACTERS]}: a name that is taken or too long, or full"
                raise ValueError(msg)
            figures[name] = number

        return record


def session_fixtures(cell_values: dict[str, Any]) -> ModuleType:
    """Return a plugin with the fixtures of session scope, which can't be methods."""

    @pytest.fixture(scope="session")
    def cell() -> object:
        """Return what this cell is: the keys of cell.json as attributes of a frozen object."""
        return make_dataclass("Cell", list(cell_values), frozen=True)(**cell_values)

    plugin = ModuleType("matrixci_fixtures")
    plugin.cell = cell  # type: ignore[attr-defined]
    return plugin


def require_distribution(name: str) -> None:
    """Skip the check under way where a distribution is not in the cell."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")


def is_offline(call: pytest.CallInfo[None], report: pytest.TestReport) -> bool:
    """Tell whether a check failed because the sandbox has no network."""
    by_kind = call.excinfo is not None and network.is_cause(call.excinfo.value)
    return by_kind or network.is_named(marked(report.longreprtext))


def marked(text: str) -> str:
    """Return what pytest marks in a traceback: the error itself, without the source around it."""
    return "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("E "))


def ended(outcome: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the end of a check."""
    empty: dict[str, Any] = {"reason": "", "need": None, "message": "", "detail": "", "figures": {}}
    return {"outcome": outcome, **empty, **fields}


def described(item: pytest.Item) -> dict[str, Any]:
    """Return what a check claims, where that comes from, its severity, and its line."""
    doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip()
    name = item.name.removeprefix("test_").replace("_", " ")
    marks = {mark: item.get_closest_marker(mark) for mark in ("reference", "severity")}
    told = {name: mark.args[0] if mark and mark.args else None for name, mark in marks.items()}
    return {
        "claim": doc.splitlines()[0] if doc else name,
        "reference": told["reference"],
        "severity": told["severity"] or "error",
        "line": line_of(item),
    }


def line_of(item: pytest.Item) -> int | None:
    """Return the line of a check, from 1; None if its code is not in the file of its id."""
    path, line, _ = item.location
    if line is None or line < 0 or path != item.nodeid.partition("::")[0]:
        return None
    return line + 1


def line_of_error(error: BaseException, file: str) -> int | None:
    """Return the innermost line of a file that an error names, from 1; None if it names none."""
    cause = error.__cause__ or error  # pytest wraps what it can't import
    if isinstance(cause, SyntaxError) and cause.filename == file:
        return cause.lineno
    frames = traceback.extract_tb(cause.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)


def message_of(call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    """Return what failed as a reader would say it: the assertion's message, the exception."""
    lookup = getattr(report.longrepr, "errorstring", None)  # a fixture that doesn't exist
    if lookup:
        return str(lookup).partition("\n")[0]
    if call.excinfo is None:
        return report.longreprtext
    text = call.excinfo.exconly(tryshort=True)
    if call.excinfo.errisinstance(AssertionError):
        # pytest puts the comparison beneath the author's words; the detail keeps it.
        return text.removeprefix("AssertionError: ").partition("\nassert ")[0]
    return text.removeprefix("Failed: ")
