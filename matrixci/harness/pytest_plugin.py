"""The pytest plugin that reports each check to the supervisor, and provides the fixtures."""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
from dataclasses import make_dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import network
import pytest
from descriptions import is_offline, message_of, result

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from supervisor_channel import SupervisorChannel

METRICS = 200  # of one check
NAME_CHARACTERS = 100  # of a metric
PROVIDERS = {"distributed": "torch"}  # names in needs() that are not those of distributions
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
EXPECTED = "expected failures of built-in checks belong in matrix.yaml's known-issues"


class CheckPlugin:
    """Reports the begin and the result of each check, and provides its fixtures."""

    def __init__(self, orders: dict[str, Any], channel: SupervisorChannel) -> None:
        """Keep the orders and the channel to the supervisor."""
        self.orders = orders
        self.channel = channel
        self.end: dict[str, Any] = {}  # result of the running check
        self.offline = False  # the running check failed for lack of a network

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str]:
        """Print no progress: all output while a check runs is the check's."""
        return report.outcome, "", ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Report that a check begins."""
        print(nodeid)  # noqa: T201 - for the log
        self.end = result("passed", metrics={"seconds": 0.0})
        self.offline = False
        self.channel.wait_until_output_is_read()
        self.channel.send("begin", id=nodeid)
        self.channel.wait_until_recorded()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a check whose needs are not met."""
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
        """Merge setup, call and teardown into one result; the first failure gives the message."""
        if self.channel.is_foreign:
            # A check forked, and the child returned to pytest: it must not run the other checks.
            os._exit(call.excinfo is not None)
        report = yield
        end = self.end
        end["metrics"]["seconds"] = round(end["metrics"]["seconds"] + report.duration, 3)
        if hasattr(report, "wasxfail"):
            self.take_xfail(call, report)
        elif report.failed:
            if end["outcome"] != "failed":
                end.update(outcome="failed", reason="", need=None, message=message_of(call, report))
            end["detail"] += report.longreprtext + "\n"
            self.offline = self.offline or is_offline(call, report)
        elif report.skipped and end["outcome"] == "passed":
            end["outcome"] = "skipped"
            end["reason"] = str(getattr(call.excinfo and call.excinfo.value, "msg", ""))
        return report

    def take_xfail(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Take the result of a check with an xfail marker, as pytest does."""
        if self.orders["cell"]["builtin"]:
            self.end.update(outcome="failed", message=EXPECTED)
            return
        if self.end["outcome"] == "failed":
            return  # an earlier phase failed; xfail in a later phase does not change that
        reason = str(report.wasxfail).removeprefix("reason: ")
        if report.skipped:
            self.end.update(outcome="known-issue", reason=f"xfail: {reason or 'no reason given'}")
            # pytest.xfail() ends a check with an exception that holds nothing but the reason.
            if call.excinfo is not None and not call.excinfo.errisinstance(pytest.xfail.Exception):
                self.end["message"] = message_of(call, report)
                self.end["detail"] += report.longreprtext + "\n"
        elif self.end["outcome"] == "passed":  # pytest fails a strict xfail that passes
            self.end["reason"] = f"passed, although marked xfail: {reason or 'no reason given'}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Report the result of a check."""
        self.channel.wait_until_output_is_read()
        if self.offline and self.end["outcome"] == "failed":
            self.end["message"] = network.hinted(self.end["message"])
        self.channel.send_end(nodeid, self.end)
        print(f"{nodeid}: {self.end['outcome']}")  # noqa: T201 - for the log

    def require_gpu(self, count: int = 1) -> None:
        """Skip the running check unless the cell's device is cuda and torch sees enough GPUs."""
        device = self.orders["cell"]["device"]
        if device != "cuda":
            pytest.skip(f"the cell's device is {device}")
        if self.orders["gpus"] < count:
            self.end["need"] = "gpu"
            pytest.skip("no GPU" if not self.orders["gpus"] else f"fewer than {count} GPUs")

    @pytest.fixture
    def device(self) -> str:
        """Return the cell's device, "cpu" or "cuda"; skip if it is cuda and there is no GPU."""
        device: str = self.orders["cell"]["device"]
        if device == "cuda":
            self.require_gpu()
        return device

    @pytest.fixture
    def metric(self) -> Callable[[str, float], None]:
        """Return a function that records a number for the report, with the unit in its name."""

        def record(name: str, value: float) -> None:
            number = float(value)
            metrics = self.end["metrics"]
            if not math.isfinite(number):
                msg = f"metric {name} is {number}"
                raise ValueError(msg)
            if name == "seconds" or len(name) > NAME_CHARACTERS or len(metrics) >= METRICS:
                limits = f"{METRICS} metrics, {NAME_CHARACTERS} characters, not named seconds"
                msg = f"metric {name[:NAME_CHARACTERS]}: not recorded; the limits are {limits}"
                raise ValueError(msg)
            metrics[name] = number

        return record


def session_fixtures(cell_values: dict[str, Any]) -> ModuleType:
    """Return a plugin with the fixtures of session scope, which cannot be methods."""

    @pytest.fixture(scope="session")
    def cell() -> object:
        """Return the keys of cell.json as attributes of a frozen object."""
        return make_dataclass("Cell", list(cell_values), frozen=True)(**cell_values)

    plugin = ModuleType("matrixci_fixtures")
    plugin.cell = cell  # type: ignore[attr-defined]
    return plugin


def require_distribution(name: str) -> None:
    """Skip the running check if a distribution is not installed."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
