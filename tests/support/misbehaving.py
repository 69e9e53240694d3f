"""Checks that misbehave in the way that their cell requests."""

from matrixci.model import CellOutcome, Reason

# A check that runs the code given by its cell, between two that pass.
DOING = {
    "test_toy.py": """
        import ctypes, os, signal, subprocess, sys, time

        def test_before():
            pass

        def test_doing():
            exec(os.environ.get("DO", ""))

        def test_after():
            pass
        """
}


def doing(**what: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return modes of the toy, each with the code that its check runs."""
    return {mode.replace("_", "-"): {"environment": {"DO": do}} for mode, do in what.items()}


def failed(reason: Reason) -> tuple[CellOutcome, Reason]:
    return CellOutcome.FAILED, reason


def around(outcome: str) -> dict[str, str]:
    """Return the outcomes of the three checks, given that of the middle one."""
    return {"test_before": "passed", "test_doing": outcome, "test_after": "passed"}


# Replaces the result file: with none, with part of one, or with one that would be green if it
# belonged to this cell.
TAMPERING = {
    "test_toy.py": """
        import json, os, pathlib

        CELL = json.loads(pathlib.Path("/matrixci/cell.json").read_text())
        RESULTS = pathlib.Path("/matrixci/results/results.jsonl")
        ID = "test_toy.py::test_doing"

        def replace(content):
            RESULTS.unlink()
            RESULTS.write_bytes(content)

        def forge(**whose):
            attested = next(x for x in RESULTS.read_text().splitlines() if "attestation" in x)
            check = {"id": ID, "claim": "", "reference": None, "severity": "error"}
            plain = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {}}
            named = {name: CELL[name] for name in ("nonce", "run", "cell")}
            lines = [
                {"kind": "header", "schema": 1, **named, **whose},
                json.loads(attested),
                {"kind": "collected", "checks": [check]},
                {"kind": "begin", "id": ID},
                {"kind": "end", "id": ID, "outcome": "passed", **plain},
                {"kind": "footer", "checks": 1, "ended": 1},
            ]
            at = "2026-11-21T10:00:00+00:00"
            text = "".join(json.dumps({"at": at, **line}) + chr(10) for line in lines)
            replace(text.encode())

        def test_doing():
            exec(os.environ["DO"])
        """
}
