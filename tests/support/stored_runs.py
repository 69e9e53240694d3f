"""Stored runs for tests of the reports, judged on the day of the later one."""

import io
from dataclasses import replace
from datetime import date
from pathlib import Path

from rich.console import Console, RenderableType

from matrixci.reports.report import Report, read_report
from matrixci.runs.folder import read_run
from matrixci.verdict.judge import JudgeOptions, judge
from matrixci.verdict.judged import JudgedRun

RUNS = Path(__file__).parents[1] / "unit/reports/runs"
BEFORE = RUNS / "20260821T100000Z-000001"
AFTER = RUNS / "20261121T100000Z-000002"
TODAY = date(2026, 11, 21)


def judged(folder: Path, baseline: Path | None = None, **fields: object) -> JudgedRun:
    before = judged(baseline) if baseline else None
    options = replace(JudgeOptions(baseline=before), **fields)  # type: ignore[arg-type]
    stored = read_run(folder)
    return judge(stored.run, stored.results, stored.problems, TODAY, options)


def report(folder: Path = AFTER, baseline: Path | None = BEFORE, **options: object) -> Report:
    made = read_report(judged(folder, baseline, **options), folder)
    shown = f".matrixci/runs/{folder.name}"
    return Report(judged=made.judged, folder=shown, locks=made.locks, logs=made.logs)


def printed(renderable: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(renderable, crop=False)
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())
