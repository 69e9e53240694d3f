"""Run checks in the shell of a cell's container, as often as needed, with the harness.

Usage: check [CHECK...]

Each CHECK is an id, a glob over ids, or an expression as for pytest's -k. The default is the checks
that the shell was opened for. The exit status is 0 if no check failed, 1 if one failed, and 2 if no
check was found.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from supervise import Supervisor, stop

CELL: Final = Path(__file__).resolve().parent.parent / "cell.json"
GOOD: Final = ("passed", "skipped", "known-issue")


def run(select: str | None) -> int:
    """Run the checks of a selection; return the exit status."""
    cell = json.loads(CELL.read_text(encoding="utf-8"))
    # A shell has no time limit, and reruns would only delay the failure.
    limits = {key: value for key, value in cell["limits"].items() if key != "cell_seconds"}
    changes: dict[str, Any] = {"limits": {**limits, "reruns": 0}}
    if select is not None:
        changes.update(select=select, only=None)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        # Only a cell with a GPU needs the attestation, which counts the GPUs.
        Supervisor(CELL, results, changes).run(attest=cell["device"] == "cuda")
        records = [json.loads(line) for line in results.read_bytes().splitlines()]
    return print_results(records, select)


def print_results(records: list[dict[str, Any]], select: str | None) -> int:
    """Print the outcomes of the checks; return the exit status."""
    listed = [
        check["id"]
        for record in records
        if record["kind"] == "collected"
        for check in record["checks"]
    ]
    ends = {record["id"]: record for record in records if record["kind"] == "end"}
    unfinished = {"outcome": "not finished", "reason": "", "message": ""}
    print()  # noqa: T201 - the command's output
    for check in listed:
        end = ends.get(check, unfinished)
        print(f"{end['outcome']}  {check}")  # noqa: T201
        if end["outcome"] != "passed":
            for line in [*end["reason"].splitlines(), *end["message"].splitlines()]:
                print(f"    {line}")  # noqa: T201
    if not listed:
        message = "No check was collected." if select is None else f"No check matches {select}."
        print(message)  # noqa: T201
        return 2
    return int(any(ends.get(check, unfinished)["outcome"] not in GOOD for check in listed))


def main() -> int:
    """Run the checks named on the command line; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    arguments = sys.argv[1:]
    if any(argument in ("-h", "--help") for argument in arguments):
        print((__doc__ or "").partition("\n\n")[2].strip())  # noqa: T201
        return 0
    selections: list[str | None] = [*arguments] if arguments else [None]
    return max([run(select) for select in selections])


if __name__ == "__main__":
    sys.exit(main())
