"""Time reading a generated run and writing its reports in all formats.

Usage: python bench/reports.py [--cells 10000] [--checks 60] [--baseline] [--work-dir DIR]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Final

from matrixci.model import (
    Attestation,
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    KnownIssue,
    LockRecord,
    Reason,
    Run,
    Step,
    StepName,
    Subject,
)
from matrixci.reports.formats import FORMATS, write_all
from matrixci.reports.report import read_report
from matrixci.runs.folder import RunFolder, read_run
from matrixci.verdict.judge import JudgeOptions, judge

BEGAN: Final = datetime(2026, 11, 21, 10, tzinfo=UTC)
DISTRIBUTIONS: Final = {f"package-{number}": f"{number}.0.1" for number in range(60)}
FAILS: Final = 97  # one of this many checks fails


def cells(count: int) -> tuple[Cell, ...]:
    """Return cells over four axes, two of them devices."""
    minors = range(10, 15)
    stacks = range(-(-count // (len(minors) * 2 * 2)))
    made = [
        Cell(
            id=f"py3.{minor}-numpy{numpy}-stack{stack}-{device}",
            axes={
                "python": f"3.{minor}",
                "numpy": f"{numpy}.x",
                "stack": f"{stack}",
                "device": device,
            },
            python=f"3.{minor}",
            requires=("torch", f"numpy=={numpy}.*"),
            environment={},
            torch_backend="cpu" if device == "cpu" else None,
            base=None,
            gpu=device == "cuda",
        )
        for stack, minor, numpy, device in product(stacks, minors, (1, 2), ("cpu", "cuda"))
    ]
    return tuple(made[:count])


def result(run: str, cell: Cell, index: int, checks: int) -> CellResult:
    """Return a realistic result in which some checks fail."""
    return CellResult(
        run=run,
        cell=cell,
        outcome=CellOutcome.FAILED,
        reason=Reason.CHECKS,
        lock=LockRecord(
            digest=f"{index:064x}",
            file=f"locks/{cell.id}.txt",
            versions={**DISTRIBUTIONS, "transformers": "5.23.0", "torch": "2.15.0"},
            torch_backend=cell.torch_backend,
            fallback=False,
        ),
        attestation=Attestation(
            python=f"{cell.python}.4",
            machine="x86_64",
            distributions={**DISTRIBUTIONS, "transformers": "5.23.0", "torch": "2.15.0"},
            modules={"torch": "2.15.0", "numpy": "2.5.5"},
            torch_cuda=None,
            gpus=0,
        ),
        checks=tuple(check(index, number) for number in range(checks)),
        steps=tuple(
            Step(name=name, began=at(index, order), ended=at(index, order + 1))
            for order, name in enumerate(StepName)
        ),
        log=f"logs/{cell.id}.log",
    )


def check(index: int, number: int) -> CheckResult:
    """Return the result of a check in the cell with an index."""
    fails = (index * 61 + number) % FAILS == 0
    return CheckResult(
        id=f"test_module_{number % 8}.py::test_something_that_a_user_does[case-{number}-eager]",
        claim=f"Use case {number} of the package leaves the state unchanged.",
        outcome=CheckOutcome.FAILED if fails else CheckOutcome.PASSED,
        message=f"expected {number}\nseen: nothing, in cell {index}" if fails else "",
        detail="\n".join(f"line {line} of a traceback" for line in range(40)) if fails else "",
        metrics={"import_seconds": 2.0 + index % 7 / 10} if number % 20 == 0 else {},
        began=at(index, number),
        ended=at(index, number + 1),
    )


def at(index: int, step: int) -> datetime:
    """Return a time that is unique for each step of a run."""
    return BEGAN + timedelta(seconds=step, microseconds=index * 37 % 1_000_000)


def make(work_dir: Path, name: str, count: int, checks: int) -> Path:
    """Write the folder of a run."""
    every = cells(count)
    axes: dict[str, dict[str, None]] = {}
    for cell in every:
        for axis, value in cell.axes.items():
            axes.setdefault(axis, {})[value] = None
    run = Run(
        id=name,
        began=BEGAN,
        ended=BEGAN,
        matrixci="0.1.0",
        commit=None,
        command=("matrix",),
        subject=Subject(name="transformers", spec="transformers", requirement="transformers"),
        companions=("torch",),
        as_of=None,
        matrix_digest="00",
        axes={axis: tuple(values) for axis, values in axes.items()},
        cells=every,
        known_issues=tuple(
            KnownIssue(
                check=f"test_module_{number}.py::*case-{number}-*",
                versions={"transformers": ">=5"},
                reference=f"owner/name#{number}",
                reason="not fixed yet",
                expires=date(2027, 6, 30),
            )
            for number in range(4)
        ),
        resolver="uv 0.9.9",
    )
    folder = RunFolder.create(work_dir, name)
    folder.write_run(run)
    for index, cell in enumerate(every):
        made = result(name, cell, index, checks).model_dump_json(indent=1)
        (folder.cells / f"{cell.id}.json").write_text(made, encoding="utf-8")
    return folder.path


def measure(folder: Path, baseline: Path | None) -> None:
    """Read, judge and report a run; print the time and peak memory of each step."""
    begin = last = time.perf_counter()
    began = time.process_time()

    def log(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{step:<12} {now - last:6.2f} s   peak {peak:4.0f} MiB so far")
        last = now

    today = BEGAN.date()
    before = None
    if baseline is not None:
        stored = read_run(baseline)
        before = judge(stored.run, stored.results, stored.problems, today)
        log("baseline")
    stored = read_run(folder)
    log("read")
    judged = judge(
        stored.run, stored.results, stored.problems, today, JudgeOptions(baseline=before)
    )
    del stored
    log("judge")
    report = read_report(judged, folder)
    for each in FORMATS.values():
        (path,) = write_all(report, folder / "report", [each])
        log(f"{each.name} ({path.stat().st_size / 2**20:.1f} MiB)")
    took = time.perf_counter() - begin
    print(f"{'all':<12} {took:6.2f} s   {time.process_time() - began:.2f} s of a CPU")


def main() -> None:
    """Generate a run and measure it in a separate process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--checks", type=int, default=60)
    parser.add_argument("--baseline", action="store_true", help="compare with a second run")
    parser.add_argument("--work-dir", type=Path, help="keep the runs in this folder")
    parser.add_argument("--measure", nargs="+", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure[0], given.measure[1] if len(given.measure) > 1 else None)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work_dir = given.work_dir or Path(temporary)
        names = ["after", "before"] if given.baseline else ["after"]
        folders = []
        for name in names:
            folder = work_dir / "runs" / name
            folders.append(
                folder if folder.is_dir() else make(work_dir, name, given.cells, given.checks)
            )
        # Generating the run takes memory, so measure in another process.
        subprocess.run([sys.executable, __file__, "--measure", *folders], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
