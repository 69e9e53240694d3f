"""The input of every report: a judged run, its files and its history."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from matrixci.history.streaks import Red
from matrixci.history.trend import Trend
from matrixci.verdict.judged import JudgedRun

_LOG: Final = 64 * 1024
_LOCK: Final = 4 * 2**20
_NONE: Final[Mapping[str, str]] = MappingProxyType({})

Trends = Mapping[str, Trend]
"""Earlier outcomes and metrics of cells and checks, by `trend_key`."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """The parts of the history that a report shows."""

    trends: Trends
    reds: Mapping[str, Red]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report shows, in any format."""

    judged: JudgedRun
    folder: str
    """path of the run's files, as shown to the reader"""
    locks: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """cell id to the text of its lock"""
    logs: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """cell id to the end of its container's log, or of its image build's log"""
    trends: Trends | None = None
    reds: Mapping[str, Red] = field(default_factory=lambda: MappingProxyType({}))
    """text of a blocker to since when it is red"""


def read_report(judged: JudgedRun, folder: Path, past: Past | None = None) -> Report:
    """Return the report of a run. Locks and logs are read from its folder on access."""
    locks, logs = {}, {}
    for cell in judged.cells:
        if cell.result is None:
            continue
        if cell.result.lock:
            locks[cell.cell.id] = cell.result.lock.file
        log = cell.result.log or (cell.result.image.log if cell.result.image else None)
        if log:
            logs[cell.cell.id] = log
    return Report(
        judged=judged,
        folder=str(folder),
        locks=RunFiles(folder, locks, _LOCK),
        logs=RunFiles(folder, logs, _LOG),
        trends=past.trends if past else None,
        reds=past.reds if past else {},
    )


class RunFiles(Mapping[str, str]):
    """The ends of files in a run's folder, each read on access."""

    def __init__(self, folder: Path, files: Mapping[str, str], most: int) -> None:
        self._folder = folder.resolve()
        self._files = files
        self._most = most
        self._within: dict[str, bool] = {}

    def __getitem__(self, cell_id: str) -> str:
        name = self._files[cell_id]
        if not self._is_within(os.path.dirname(name)):  # noqa: PTH120 - faster for thousands of files
            return ""
        try:
            # The file itself may be a link to anywhere, so it is opened without following links.
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - opens a descriptor
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - self._most))
                return file.read(self._most).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def _is_within(self, subfolder: str) -> bool:
        """Return whether a folder is inside the run's. Its name is untrusted."""
        if subfolder not in self._within:
            try:
                inside = (self._folder / subfolder).resolve().is_relative_to(self._folder)
            except (OSError, ValueError):
                inside = False
            self._within[subfolder] = inside
        return self._within[subfolder]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
