"""Check the installed packages for known vulnerabilities with pip-audit.

Exits with 0 if none is known, 1 if one is, and 3 if the audit is incomplete: a package that was
skipped, or a service that did not answer, does not count as clean. Uses only the standard library;
pip-audit runs as a separate process.
"""

import json
import subprocess
import sys
from typing import Any

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
NOT_ON_AN_INDEX = {"matrixci"}
TIMEOUT_SECONDS = 300
LAST_LINES = 5


def main() -> int:
    """Run pip-audit, print its findings and return the exit status."""
    argv = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    try:
        done = subprocess.run(  # noqa: S603
            argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        print(f"Not audited: no answer within {TIMEOUT_SECONDS} s.")
        return UNKNOWN
    try:
        report = json.loads(done.stdout)
        status, lines = summarize(report["dependencies"])
    except (ValueError, LookupError, TypeError):
        lines = [
            "Not audited: the vulnerability service did not answer.",
            *done.stderr.strip().splitlines()[-LAST_LINES:],
        ]
        status = UNKNOWN
    print("\n".join(lines))
    return status


def summarize(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status for a report and the lines to print."""
    others = [each for each in dependencies if each["name"] not in NOT_ON_AN_INDEX]
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
        summary = f"Not audited: {len(skipped)} of {len(others)} packages were skipped"
        return UNKNOWN, [f"{summary}: {', '.join(skipped)}" if skipped else f"{summary}."]
    return CLEAN, [f"{len(others)} packages, no known vulnerability."]


if __name__ == "__main__":
    sys.exit(main())
