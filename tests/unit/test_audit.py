"""Tests for .ci/audit.py: an incomplete audit does not count as clean."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci/audit.py"
SPEC = importlib.util.spec_from_file_location("audit", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": "d"}
OURS = {"name": "matrixci", "skip_reason": "not on an index"}
CLEAN = {"name": "rich", "version": "15.0", "vulns": []}
VULNERABLE = {"name": "docker", "version": "7.1", "vulns": [FOUND]}
SKIPPED = {"name": "uv", "skip_reason": "could not be audited"}


@pytest.mark.parametrize(
    ("dependencies", "status", "message"),
    [
        ([OURS, CLEAN], 0, "1 packages, no known vulnerability"),
        ([OURS, CLEAN, VULNERABLE], 1, "docker 7.1: PYSEC-1 (CVE-1), fixed in 2.0"),
        ([OURS, CLEAN, VULNERABLE, SKIPPED], 1, "docker 7.1"),
        ([OURS, CLEAN, SKIPPED], 3, "Not audited: 1 of 2 packages were skipped: uv"),
        ([OURS], 3, "Not audited: 0 of 0"),
        ([], 3, "Not audited"),
    ],
)
def test_exit_status_of_a_report(
    dependencies: list[dict[str, Any]], status: int, message: str
) -> None:
    code, lines = audit.summarize(dependencies)
    assert code == status
    assert message in lines[0]


def pip_audit_printing(stdout: str) -> Callable[..., object]:
    def run(*_: object, **__: object) -> object:
        return subprocess.CompletedProcess([], 1, stdout, "a\nno route to the service\n")

    return run


@pytest.mark.parametrize("stdout", ["", "{", "[]", "{}", '{"dependencies": null}'])
def test_unreadable_report_is_not_a_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdout: str
) -> None:
    monkeypatch.setattr(audit.subprocess, "run", pip_audit_printing(stdout))
    assert audit.main() == 3
    assert "no route to the service" in capsys.readouterr().out
