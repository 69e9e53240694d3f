"""Run checks in the shell of a cell's container, as the harness runs them; any number of times.

Usage: check [CHECK...]

Each CHECK is an id, a glob over ids, or an expression as pytest's -k. Without one, the checks run
that the shell was opened for. Exits with 0 if none failed, 1 if one did, 2 if there was none.
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
WELL: Final = ("passed", "skipped", "known-issue")


def run(select: str | None) -> int:
    """Run the checks that a selection names; return the exit status."""
    cell = json.loads(CELL.read_text(encoding="utf-8"))
    # A shell has no time limit, and a check that fails is seen at once.
    limits = {key: value for key, value in cell["limits"].items() if key != "cell_seconds"}
    changes: dict[str, Any] = {"limits": {**limits, "reruns": 0}}
    if select is not None:
        changes.update(select=select, only=None)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        # Only a cell with a GPU needs the attestation, which says whether there is one.
        Supervisor(CELL, results, changes).run(attest=cell["device"] == "cuda")
        records = [json.loads(line) for line in results.read_bytes().splitlines()]
    return tell(records, select)


def tell(records: list[dict[str, Any]], select: str | None) -> int:
    """Print what the checks came to; return the exit status."""
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
        what = "There is no check." if select is None else f"No check matches {select}."
        print(what)  # noqa: T201
        return 2
    return int(any(ends.get(check, unfinished)["outcome"] not in WELL for check in listed))


def main() -> int:
    """Run what the command line names; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    words = sys.argv[1:]
    if any(word in ("-h", "--help") for word in words):
        print((__doc__ or "").partition("\n\n")[2].strip())  # noqa: T201
        return 0
    selections: list[str | None] = [*words] if words else [None]
    return max([run(select) for select in selections])


if __name__ == "__main__":
    sys.exit(main())
