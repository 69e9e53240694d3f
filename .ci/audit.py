"""Holds what is installed beside it against the known vulnerabilities, through pip-audit.

Exits 0 where none is known, 1 where one is, and 3 where that could not be asked: what was skipped
was not audited, and no answer is no pass. Standard library only; pip-audit is a process of its own.
"""

import json
import subprocess
import sys
from typing import Any

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
OURS = {"matrixci"}  # on no index
SECONDS = 300
END_LINES = 5


def main() -> int:
    """Audit, and print what was found."""
    argv = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        print(f"Not audited: no answer within {SECONDS} s.")
        return UNKNOWN
    try:
        report = json.loads(done.stdout)
        status, lines = judged(report["dependencies"])
    except (ValueError, LookupError, TypeError):
        lines = [
            "Not audited: the service of known vulnerabilities could not be asked.",
            *_end(done),
        ]
        status = UNKNOWN
    print("\n".join(lines))
    return status


def judged(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status that a report comes to, and what is to be told."""
    others = [each for each in dependencies if each["name"] not in OURS]
    lines = [
        f"{each['name']} {each['version']}: {found['id']}"
        f" ({', '.join(found['aliases']) or 'no other name'}),"
        f" fixed in {', '.join(found['fix_versions']) or 'no release'}"
        for each in others
        for found in each.get("vulns", [])
    ]
    if lines:
        return VULNERABLE, lines
    skipped = [each["name"] for each in others if "skip_reason" in each]
    if skipped or not others:
        told = f"Not audited: {len(skipped)} of {len(others)} packages could not be asked for"
        return UNKNOWN, [f"{told}: {', '.join(skipped)}" if skipped else f"{told}."]
    return CLEAN, [f"{len(others)} packages, no known vulnerability."]


def _end(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return done.stderr.strip().splitlines()[-END_LINES:]


if __name__ == "__main__":
    sys.exit(main())
