"""What a report is made from: a judged run, and the files that lie beside it."""

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
"""How cells and checks went, by `trend_key`."""


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the history knows about a run."""

    trends: Trends
    reds: Mapping[str, Red]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that any format shows; each is made from this and nothing else."""

    judged: JudgedRun
    folder: str
    """where the run's files lie, as the reader is told"""
    locks: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """cell id to its constraints file"""
    logs: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """cell id to the end of its container's log, or of its image's build"""
    trends: Trends | None = None
    reds: Mapping[str, Red] = field(default_factory=lambda: MappingProxyType({}))
    """since when blockers are red, by their text"""


def read_report(judged: JudgedRun, folder: Path, past: Past | None = None) -> Report:
    """Return the report of a run; the files of its folder are read when they are asked for."""
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
    """The ends of files within a run's folder, each read when it is asked for."""

    def __init__(self, folder: Path, files: Mapping[str, str], most: int) -> None:
        self._folder = folder.resolve()
        self._files = files
        self._most = most
        self._within: dict[str, bool] = {}

    def __getitem__(self, cell_id: str) -> str:
        name = self._files[cell_id]
        if not self._is_within(os.path.dirname(name)):  # noqa: PTH120 - there may be thousands
            return ""
        try:
            # The last part may be a link to anywhere, as its folder may.
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - self._most))
                return file.read(self._most).decode("utf-8", "replace")
        except (OSError, ValueError):
            return ""

    def _is_within(self, subfolder: str) -> bool:
        """Tell whether a folder lies in the run's: its name was written by another machine."""
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
