"""Verify the checks: they must catch seeded defects, and raise no false alarm on real releases.

Usage: python -m checkup [--only GLOB] [--work-dir FOLDER] [--defects-alone]. The exit status is
1 if less than 95 % of the defects are caught, or if a check raises a false alarm.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from checkup.container import DefectRun, seed
from checkup.data import matches, releases, seeded
from checkup.real import CellRun, differences, run_release

if TYPE_CHECKING:
    from checkup.data import Defect, Releases

LEAST = 0.95
AT_ONCE = 2  # releases side by side


@dataclass(frozen=True, kw_only=True)
class DefectVerdict:
    """Whether a defect was caught, by which check, and whether the message names the cause."""

    defect: Defect
    caught: bool
    by: str
    note: str
    more: int
    """Number of other checks that failed."""

    @classmethod
    def of(cls, seen: DefectRun) -> DefectVerdict:
        """Judge the results with a defect."""
        defect, caught = seen.defect, seen.caught
        named = [check for check, said in caught.items() if re.search(defect.says, said)]
        note = seen.problem
        if caught and not named:
            said = " ".join(next(iter(caught.values())).split())[:300]
            note = f"caught, but the message does not name the cause ({defect.says}): {said}"
        elif not caught and not note:
            note = f"only {', '.join(seen.fired)} fired" if seen.fired else "nothing fired"
        return cls(
            defect=defect,
            caught=bool(named),
            by=next(iter(named or caught), ""),
            note="" if named else note,
            more=len(seen.fired) - len(caught),
        )


def main() -> int:
    """Run the checkup; return the exit code."""
    parser = argparse.ArgumentParser(prog="checkup", description=__doc__)
    parser.add_argument("--only", default="*", help="glob over the names of the defects")
    parser.add_argument("--work-dir", type=Path, default=Path(".matrixci/checkup"))
    parser.add_argument("--defects-alone", action="store_true", help="the newest release alone")
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    table = releases()
    began = time.monotonic()
    wanted = table.releases[:1] if options.defects_alone else table.releases
    with ThreadPoolExecutor(AT_ONCE) as pool:
        work_dir = options.work_dir.resolve()
        runs = list(pool.map(lambda one: run_release(one, table.cell, work_dir), wanted))
    alarms = sum([print_release(console, run, table) for run in runs])
    defects = [one for one in seeded() if matches(options.only, one.name)]
    logs = work_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    seen = asyncio.run(seed(defects, runs[0], logs))
    caught, of, odd = print_defects(console, seen)
    minutes = (time.monotonic() - began) / 60
    console.print(
        f"\n[bold]{caught} of {of} seeded defects caught, each by a check that names the cause; "
        f"{alarms + odd} false alarms[/bold]   ({minutes:.0f} min)"
    )
    return 0 if caught >= LEAST * of and alarms + odd == 0 else 1


def print_release(console: Console, run: CellRun, table: Releases) -> int:
    """Print the results of a release; return the number of unexpected outcomes."""
    found = differences(run, table)
    alarms = [one for one in found if one.is_false_alarm]
    failed = sum(outcome == "failed" for outcome, _ in run.checks.values())
    console.print(
        f"[bold]{run.release.subject}[/bold] · accelerate {run.release.accelerate}: "
        f"{len(run.checks)} checks, {failed} failed, {len(alarms)} false alarms, "
        f"{len(found) - len(alarms)} other differences, {run.seconds:.0f} s of checks"
    )
    for one in found:
        wanted = one.expected.outcome if one.expected else "passed"
        console.print(escape(f"  {one.check}: {one.outcome}, expected {wanted}"))
        console.print(escape(f"    {one.message[:600]}"), style="dim")
    return len(found)


def print_defects(console: Console, seen: list[DefectRun]) -> tuple[int, int, int]:
    """Print the caught defects; return their number, the number of all, and of false alarms."""
    verdicts = [DefectVerdict.of(one) for one in seen if one.defect.caught_by]
    for one in sorted(verdicts, key=lambda one: (one.caught, one.defect.name)):
        glyph = "✓" if one.caught else "✗"
        more = f" (+{one.more} more)" if one.more else ""
        console.print(escape(f"{glyph} {one.defect.name:42} {one.by}{more}"))
        if one.note:
            console.print(escape(f"    {one.defect.what}\n    {one.note}"), style="dim")
    odd = 0
    for control in (one for one in seen if not one.defect.caught_by):
        said = control.problem or ", ".join(control.fired) or "nothing fired"
        console.print(escape(f"{control.defect.name}: {said}"))
        odd += len(control.fired) + bool(control.problem)
    return sum(one.caught for one in verdicts), len(verdicts), odd


if __name__ == "__main__":
    sys.exit(main())
