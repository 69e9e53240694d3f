"""The pytest plugin that selects checks and reports their collection to the supervisor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import network
import protocol
import pytest
from descriptions import described, error_lines, line_of_error, result
from selection import is_by_id, names

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from supervisor_channel import SupervisorChannel

MARKERS = (
    "reference(name): where the claim comes from, as owner/repository#number",
    "needs(*what, count=1): without it the check is skipped: 'gpu', 'distributed', a distribution",
    "severity(level): 'error' or 'warning'",
)


class CollectionPlugin:
    """Selects the requested checks, and reports what was collected."""

    def __init__(self, orders: dict[str, Any], channel: SupervisorChannel) -> None:
        """Keep the orders and the channel to the supervisor."""
        self.orders = orders
        self.channel = channel
        self.only: list[str] | None = orders["only"]
        self.files = None if self.only is None else {check.split("::")[0] for check in self.only}
        self.not_imported: dict[str, dict[str, Any]] = {}  # file to its result
        self.error_lines: dict[str, int | None] = {}  # file to the line of its import error

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the markers."""
        for marker in MARKERS:
            config.addinivalue_line("markers", marker)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Ignore files that crashed when imported, or that hold no requested check."""
        if collection_path.suffix != ".py":
            return None
        file = os.path.relpath(collection_path, self.orders["checks"])
        not_requested = self.files is not None and file not in self.files
        return True if not_requested or file in self.orders["ignore"] else None

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Report which file is imported now, since its import may crash the process."""
        if isinstance(collector, pytest.Module):
            self.channel.wait_until_output_is_read()
            self.channel.send("importing", id=collector.nodeid)

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]
    ) -> None:
        """Keep the line of a file's import error for its report."""
        if isinstance(node, pytest.Module) and call.excinfo is not None:
            self.error_lines[node.nodeid] = line_of_error(call.excinfo.value, str(node.path))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep files that cannot be imported or skip themselves; they are reported like checks."""
        if report.failed:
            text = report.longreprtext
            message = error_lines(text) or text.strip().rpartition("\n")[2]
            message = network.hinted(message) if network.is_named(message) else message
            self.not_imported[report.nodeid] = result("failed", message=message, detail=text)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            reason = reason.removeprefix("Skipped: ")
            self.not_imported[report.nodeid] = result("skipped", reason=reason)
        self.channel.send("importing", id=None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Deselect all but the requested checks, and report the rest.

        pytest_collection_finish would not do: it is also called after an interrupted collection,
        when only a part of the checks is known.
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
        self.report_collected(items)

    def report_collected(self, items: list[pytest.Item]) -> None:
        """Report the collected checks, the requested ones that do not exist, and broken files."""
        checks = {item.nodeid: described(item) for item in items}
        plain = {"reference": None, "severity": "error"}
        for file in self.not_imported:
            line = self.error_lines.get(file)
            checks[file] = {"claim": protocol.FILE_CLAIM, **plain, "line": line}
        for check in self.only or ():
            checks.setdefault(check, {"claim": "", **plain, "line": None})
        for check, description in checks.items():
            self.channel.send("found", id=check, **description)
        self.channel.send("collected", count=len(checks))
        for file, end in self.not_imported.items():
            self.channel.send("begin", id=file)
            self.channel.send_end(file, end)
