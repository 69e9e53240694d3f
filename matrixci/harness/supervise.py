"""The container's command: attest what is installed, run the checks, write results.jsonl.

Usage: python supervise.py [CELL_JSON]; checks/ and results/ lie beside cell.json. The checks run in
a child. This process alone writes the results, and outlives whatever a check does to its own
process. It exits 0 when it got to the footer, whatever the checks came to.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import protocol
from child_process import Child
from ledger import Ledger, Results
from rerun import Heard, to_run_again

if TYPE_CHECKING:
    from types import FrameType

SCHEMA: Final = 1
CELL: Final = "/matrixci/cell.json"
ATTESTED: Final = {"python", "machine", "distributions", "modules", "torch_cuda", "gpus"}
TICK_SECONDS: Final = 0.1

# The interpreter, pytest, and for the attestation an import of torch, on a busy machine. The cell's
# limits may set another value as start_seconds.
START_SECONDS: Final = 180

# Between two checks, and from the last one to the exit, where threads may be waited for.
PAUSE_SECONDS: Final = 10

# What is left of a cell's time when no check is run once more: for the last records and the exit.
END_SECONDS: Final = 10


class Supervisor:
    """Runs the checks of one cell, and anew after each that takes the process down."""

    def __init__(
        self, cell_file: Path, results: Path | None = None, changes: dict[str, Any] | None = None
    ) -> None:
        """Read the cell and begin the results.

        Args:
            cell_file: the cell; the checks lie beside it.
            results: the file of results; None: beside the cell.
            changes: what replaces what the cell says.

        Raises:
            OSError: the cell can't be read, or there are results already.
            ValueError, KeyError: the cell is not as the contract has it.
        """
        told: dict[str, Any] = json.loads(cell_file.read_text(encoding="utf-8"))
        self.cell = {**told, **(changes or {})}
        folder = cell_file.resolve().parent
        self.checks = folder / "checks" / self.cell.get("package", "")
        limits = self.cell["limits"]
        self.check_seconds: float = limits["check_seconds"]
        self.start_seconds: float = limits.get("start_seconds", START_SECONDS)
        self.gpus = 0
        self.deadline = monotonic() + limits.get("cell_seconds", math.inf)
        self.until = math.inf  # when whatever runs is ended
        self.results = Results(results or folder / "results" / "results.jsonl")
        named = {key: self.cell[key] for key in ("nonce", "run", "cell")}
        self.results.write("header", schema=SCHEMA, **named)
        self.ledger = Ledger(self.results)

    def run(self, *, attest: bool = True) -> None:
        """Attest, run the checks, those that failed once more, and write the footer."""
        if attest:
            self.attest()
        only = self.cell["only"]
        steps = -1
        # Each start begins a check or finds a broken file, or it was the last one.
        while steps < self.ledger.steps and only != []:
            steps = self.ledger.steps
            self.start(self.ledger, only)
            if self.ledger.checks is not None:
                only = self.ledger.left
        if only != []:
            protocol.note("pytest ended and had begun nothing; what is left stays unreported")
        self.run_again()
        self.ledger.close()
        protocol.note(self.ledger.summary)

    def run_again(self) -> None:
        """Run each check that failed once more, in a process of its own: it may be flaky.

        The cell's own limit would take its results along, so a rerun is ended before that. A check
        that did not come to an end is recorded without an outcome: nothing is known of it.
        """
        most: int = self.cell["limits"].get("reruns", 0)
        self.until = self.deadline - END_SECONDS
        for check in to_run_again(self.ledger.failed, self.cell.get("known", ()), most):
            heard = Heard()
            if monotonic() < self.until:
                protocol.note(f"{check}: once more, alone")
                self.start(Ledger(heard), [check])
            outcome = heard.outcome if monotonic() < self.until else None
            if outcome is None:
                protocol.note(f"{check}: not run once more, the cell's time was over")
            self.results.write("again", id=check, outcome=outcome)

    def attest(self) -> None:
        """Have a fresh interpreter tell what is installed; write the most that it told."""
        deadline = monotonic() + self.start_seconds
        lines: list[bytes] = []
        with closing(Child("attest.py", {})) as child:
            while not (hung := monotonic() > deadline) and not child.exited():
                lines.extend(child.pump(TICK_SECONDS))
            status, left = child.end()
        if hung or status != 0:
            protocol.note(f"the attestation {'hung' if hung else f'died: {death(status)}'}")
        told = next(filter(None, map(attested, reversed(lines + left))), None)
        if told is None:
            protocol.note("nothing was attested")
        else:
            self.results.write("attestation", **told)
            self.gpus = told["gpus"]

    def start(self, ledger: Ledger, only: list[str] | None) -> None:
        """Run pytest once, to its end or until a check takes it down or outlasts its time."""
        orders = {
            "cell": self.cell,
            "checks": str(self.checks),
            "only": only,
            "ignore": self.ledger.broken,
            "gpus": self.gpus,
        }
        ledger.restart()
        with closing(Child("run_checks.py", orders)) as child:
            hung = False
            while not hung and not child.exited():
                for line in child.pump(TICK_SECONDS):
                    take(ledger, line, child)
                hung = self.overdue(ledger)
            if hung:
                child.ask_stacks()
            status, left = child.end()
            for line in left:
                take(ledger, line, child)
            self.account(ledger, status, child, hung=hung)

    def overdue(self, ledger: Ledger) -> bool:
        """Tell whether the child has said nothing for longer than it may."""
        if ledger.under_way:
            limit = self.check_seconds
        elif ledger.collecting:
            limit = self.start_seconds
        else:
            limit = min(PAUSE_SECONDS, self.check_seconds)
        return monotonic() - ledger.since > limit or monotonic() > self.until

    def account(self, ledger: Ledger, status: int, child: Child, *, hung: bool) -> None:
        """Record what was under way when the child ended: a check, a file's import, or neither."""
        if ledger.under_way is None:
            if hung or status not in (0, 1, 5):  # pytest's own: all well, failures, no checks
                protocol.note(f"pytest {'hung' if hung else death(status)} outside of any check")
            return
        stacks = child.stacks()
        detail = protocol.joined(stacks, child.output())
        if hung:
            limit = f"{self.check_seconds:g} s"
            message = f"It did not end within {limit}{self.where(stacks)}."
            ledger.lose("timed-out", f"after {limit}", message, detail)
        else:
            message = f"It took its process down: {death(status)}{self.where(stacks)}."
            ledger.lose("crashed", death(status), message, detail)

    def where(self, stacks: str) -> str:
        """Return the innermost line of the checks' own in the stacks, else the innermost."""
        lines = [line.strip() for line in stacks.splitlines() if line.startswith("  File ")]
        checks = f'"{self.checks}/'
        line = next((line for line in lines if checks in line), lines[0] if lines else "")
        return line and f", at {line}".replace(checks, '"')


def take(ledger: Ledger, line: bytes, child: Child) -> None:
    """Act on what the child said; what it printed before a begin is not of what began."""
    if ledger.take(line, child.output):
        child.forget_output()


def attested(line: bytes) -> dict[str, Any] | None:
    """Return what a line of attest.py tells, None where it is not one."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    in_order = isinstance(told, dict) and set(told) == ATTESTED and isinstance(told["gpus"], int)
    return told if in_order else None


def death(status: int) -> str:
    """Return how a process ended: a signal's name, or its exit status."""
    if status < 0:
        names = {int(number): number.name for number in signal.Signals}
        return names.get(-status, f"signal {-status}")
    return "exit status 0 in the middle" if status == 0 else f"exit status {status}"


def stop(number: int, _: FrameType | None) -> None:
    """End without a footer; the child is killed on the way out."""
    sys.exit(128 + number)


def main() -> None:
    """Supervise the checks of the cell that the command line names."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if home := os.environ.get("HOME"):
        with suppress(OSError):  # a check that needs it says so better
            Path(home).mkdir(parents=True, exist_ok=True)
    try:
        supervisor = Supervisor(Path(sys.argv[1] if len(sys.argv) > 1 else CELL))
    except FileExistsError as error:
        told = f"{error.filename} is there already, and a container's results are written once"
        sys.exit(f"matrixci: {told}; in a shell, use the command `check`")
    supervisor.run()


if __name__ == "__main__":
    main()
