"""The container's command: attest the installed versions, run the checks, write results.jsonl.

Usage: python supervise.py [CELL_JSON], with checks/ and results/ next to cell.json. The checks run
in a child process. Only this process writes results, and it survives any crash of the child. It
exits with 0 once it has written the footer, whatever the outcomes of the checks.
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
from child_process import ChildProcess
from ledger import Ledger, Results
from rerun import OutcomeRecorder, checks_to_rerun

if TYPE_CHECKING:
    from types import FrameType

SCHEMA: Final = 1
CELL: Final = "/matrixci/cell.json"
ATTESTED: Final = {"python", "machine", "distributions", "modules", "torch_cuda", "gpus"}
TICK_SECONDS: Final = 0.1

# For the interpreter, pytest, and the attestation's import of torch, on a busy machine. The limits
# of the cell may override it as start_seconds.
START_SECONDS: Final = 180

# Between two checks, and from the last check to the exit, when threads may be joined.
PAUSE_SECONDS: Final = 10

# Reserved at the end of the cell's time for the last records and the exit; no reruns then.
END_SECONDS: Final = 10


class Supervisor:
    """Runs the checks of one cell, and restarts pytest after each check that crashes it."""

    def __init__(
        self, cell_file: Path, results: Path | None = None, changes: dict[str, Any] | None = None
    ) -> None:
        """Read the cell and create the results file.

        Args:
            cell_file: cell.json; the checks are next to it.
            results: the results file; by default next to the cell.
            changes: values that replace those of the cell.

        Raises:
            OSError: the cell cannot be read, or the results file exists.
            ValueError, KeyError: the cell is invalid.
        """
        values: dict[str, Any] = json.loads(cell_file.read_text(encoding="utf-8"))
        self.cell = {**values, **(changes or {})}
        folder = cell_file.resolve().parent
        self.checks = folder / "checks" / self.cell.get("package", "")
        limits = self.cell["limits"]
        self.check_seconds: float = limits["check_seconds"]
        self.start_seconds: float = limits.get("start_seconds", START_SECONDS)
        self.gpus = 0
        self.deadline = monotonic() + limits.get("cell_seconds", math.inf)
        self.rerun_deadline = math.inf
        self.results = Results(results or folder / "results" / "results.jsonl")
        named = {key: self.cell[key] for key in ("nonce", "run", "cell")}
        self.results.write("header", schema=SCHEMA, **named)
        self.ledger = Ledger(self.results)

    def run(self, *, attest: bool = True) -> None:
        """Attest, run the checks, rerun failed ones, and write the footer."""
        if attest:
            self.attest()
        only = self.cell["only"]
        steps = -1
        # Each start makes progress: it begins a check or finds a broken file. Else it is the last.
        while steps < self.ledger.steps and only != []:
            steps = self.ledger.steps
            self.start(self.ledger, only)
            if self.ledger.checks is not None:
                only = self.ledger.remaining
        if only != []:
            protocol.note("pytest exited without starting a check; the rest is not reported")
        self.rerun_failed()
        self.ledger.close()
        protocol.note(self.ledger.summary)

    def rerun_failed(self) -> None:
        """Rerun each failed check once in its own process, to find out whether it is flaky.

        Reruns stop before the cell's time limit, which would discard the results. A check that does
        not finish its rerun is recorded without an outcome.
        """
        most: int = self.cell["limits"].get("reruns", 0)
        self.rerun_deadline = self.deadline - END_SECONDS
        for check in checks_to_rerun(self.ledger.failed, self.cell.get("known", ()), most):
            recorder = OutcomeRecorder()
            if monotonic() < self.rerun_deadline:
                protocol.note(f"{check}: rerun")
                self.start(Ledger(recorder), [check])
            outcome = recorder.outcome if monotonic() < self.rerun_deadline else None
            if outcome is None:
                protocol.note(f"{check}: not rerun, no time is left")
            self.results.write("rerun", id=check, outcome=outcome)

    def attest(self) -> None:
        """Attest the installed versions in a fresh interpreter; write the most complete facts."""
        deadline = monotonic() + self.start_seconds
        lines: list[bytes] = []
        with closing(ChildProcess("attest.py", {})) as child:
            while not (hung := monotonic() > deadline) and not child.exited():
                lines.extend(child.pump(TICK_SECONDS))
            status, rest = child.kill()
        if hung or status != 0:
            protocol.note(f"the attestation {'hung' if hung else f'died: {exit_words(status)}'}")
        facts = next(filter(None, map(attested, reversed(lines + rest))), None)
        if facts is None:
            protocol.note("nothing was attested")
        else:
            self.results.write("attestation", **facts)
            self.gpus = facts["gpus"]

    def start(self, ledger: Ledger, only: list[str] | None) -> None:
        """Run pytest until it exits, or until a check crashes it or exceeds its time limit."""
        orders = {
            "cell": self.cell,
            "checks": str(self.checks),
            "only": only,
            "ignore": self.ledger.broken,
            "gpus": self.gpus,
        }
        ledger.restart()
        with closing(ChildProcess("run_checks.py", orders)) as child:
            hung = False
            while not hung and not child.exited():
                for line in child.pump(TICK_SECONDS):
                    handle(ledger, line, child)
                hung = self.overdue(ledger)
            if hung:
                child.dump_stacks()
            status, rest = child.kill()
            for line in rest:
                handle(ledger, line, child)
            self.record_exit(ledger, status, child, hung=hung)

    def overdue(self, ledger: Ledger) -> bool:
        """Return whether the time limit of the current step is exceeded."""
        if ledger.running:
            limit = self.check_seconds
        elif ledger.collecting:
            limit = self.start_seconds
        else:
            limit = min(PAUSE_SECONDS, self.check_seconds)
        return monotonic() - ledger.since > limit or monotonic() > self.rerun_deadline

    def record_exit(self, ledger: Ledger, status: int, child: ChildProcess, *, hung: bool) -> None:
        """Record the check or the import that was running when the child ended, if any."""
        if ledger.running is None:
            if hung or status not in (0, 1, 5):  # pytest's own: passed, failed, no checks
                how = "hung" if hung else f"died with {exit_words(status)}"
                protocol.note(f"pytest {how} outside of any check")
            return
        stacks = child.stacks()
        detail = protocol.joined(stacks, child.output())
        if hung:
            limit = f"{self.check_seconds:g} s"
            message = f"It did not end within {limit}{self.where(stacks)}."
            ledger.record_crash("timed-out", f"after {limit}", message, detail)
        else:
            how = exit_words(status)
            message = f"It ended its process with {how}{self.where(stacks)}."
            ledger.record_crash("crashed", how, message, detail)

    def where(self, stacks: str) -> str:
        """Return the innermost line of a check in the stacks, else the innermost line."""
        lines = [line.strip() for line in stacks.splitlines() if line.startswith("  File ")]
        checks = f'"{self.checks}/'
        line = next((line for line in lines if checks in line), lines[0] if lines else "")
        return line and f", at {line}".replace(checks, '"')


def handle(ledger: Ledger, line: bytes, child: ChildProcess) -> None:
    """Handle an event; clear the output when a check or an import begins."""
    if ledger.handle(line, child.output):
        child.clear_output()


def attested(line: bytes) -> dict[str, Any] | None:
    """Return the facts in a line of attest.py; None if it is invalid."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    valid = isinstance(facts, dict) and set(facts) == ATTESTED and isinstance(facts["gpus"], int)
    return facts if valid else None


def exit_words(status: int) -> str:
    """Return the name of the signal that ended a process, or its exit status."""
    if status < 0:
        names = {int(number): number.name for number in signal.Signals}
        return names.get(-status, f"signal {-status}")
    return "exit status 0 before its end" if status == 0 else f"exit status {status}"


def stop(number: int, _: FrameType | None) -> None:
    """Exit without a footer; the child is killed on the way out."""
    sys.exit(128 + number)


def main() -> None:
    """Supervise the checks of the cell named on the command line."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if home := os.environ.get("HOME"):
        with suppress(OSError):  # a check that needs HOME reports it better
            Path(home).mkdir(parents=True, exist_ok=True)
    try:
        supervisor = Supervisor(Path(sys.argv[1] if len(sys.argv) > 1 else CELL))
    except FileExistsError as error:
        message = f"{error.filename} exists, and the results of a container are written only once"
        sys.exit(f"matrixci: {message}; in a shell, use the command `check`")
    supervisor.run()


if __name__ == "__main__":
    main()
