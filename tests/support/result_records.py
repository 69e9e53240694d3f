"""Records of result files, valid ones and changes that damage them."""

import json
from collections.abc import Callable
from typing import Any

from matrixci.model import (
    Cell,
    CheckOutcome,
    LockRecord,
)
from matrixci.sandbox.evidence import (
    Evidence,
    Exit,
    Expected,
    examine,
)

AT = "2026-11-21T10:00:00+00:00"
Records = list[dict[str, Any]]

CELL = Cell(
    id="py3.12-numpy2-cpu",
    axes={"python": "3.12", "numpy": "2.x", "device": "cpu"},
    python="3.12",
    requires=("numpy>=2", 'tomli; python_version < "3.11"', "Torch"),
    environment={},
    torch_backend="cpu",
    base=None,
    gpu=False,
)
LOCK = LockRecord(
    digest="00",
    file="locks/a.txt",
    versions={"numpy": "2.5.5", "pytest": "9.1.0", "torch": "2.15.0+cpu"},
    torch_backend="cpu",
    fallback=False,
)


def expected(*, cell: dict[str, Any] | None = None, lock: dict[str, Any] | None = None) -> Expected:
    return Expected(
        run="run-1",
        nonce="abcd",
        cell=CELL.model_copy(update=cell or {}),
        lock=LOCK.model_copy(update=lock or {}),
    )


def end(check: str, outcome: str = "passed", **fields: object) -> dict[str, Any]:
    empty = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {"seconds": 0.5}}
    return {"kind": "end", "at": AT, "id": check, "outcome": outcome, **empty, **fields}


def records() -> Records:
    """Return the records of a valid file, in which a, b and c pass."""
    checks = [
        {"id": name, "claim": f"{name} holds.", "reference": "a/b#1", "severity": "error"}
        for name in ("a", "b", "c")
    ]
    run: Records = []
    for name in ("a", "b", "c"):
        run += [{"kind": "begin", "at": AT, "id": name}, end(name)]
    return [
        {
            "kind": "header",
            "at": AT,
            "schema": 1,
            "nonce": "abcd",
            "run": "run-1",
            "cell": "py3.12-numpy2-cpu",
        },
        {
            "kind": "attestation",
            "at": AT,
            "python": "3.12.1",
            "machine": "x86_64",
            "distributions": dict(LOCK.versions),
            "modules": {"numpy": "2.5.5", "torch": "2.15.0+cpu"},
            "torch_cuda": None,
            "gpus": 0,
        },
        {"kind": "collected", "at": AT, "checks": checks[:2]},
        {"kind": "collected", "at": AT, "checks": checks[2:]},
        *run,
        {"kind": "footer", "at": AT, "checks": 3, "ended": 3},
    ]


HEADER, ATTESTATION, COLLECTED, MORE, BEGIN_A, END_A, BEGIN_B, END_B, BEGIN_C, END_C, FOOTER = (
    range(11)
)


def raw(lines: Records) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def examined(lines: Records, to: Expected | None = None, ended: Exit | None = None) -> Evidence:
    return examine(raw(lines), to or expected(), ended or Exit(status=0))


def outcomes(evidence: Evidence) -> dict[str, CheckOutcome]:
    return {check.id: check.outcome for check in evidence.checks}


def changed(index: int, **fields: object) -> Callable[[Records], Records]:
    def change(lines: Records) -> Records:
        lines[index].update(fields)
        return lines

    return change


def without(*indices: int) -> Callable[[Records], Records]:
    return lambda lines: [line for i, line in enumerate(lines) if i not in indices]


def moved(source: int, target: int) -> Callable[[Records], Records]:
    def move(lines: Records) -> Records:
        lines.insert(target, lines.pop(source))
        return lines

    return move


def repeated(index: int, target: int) -> Callable[[Records], Records]:
    return lambda lines: [*lines[:target], dict(lines[index]), *lines[target:]]


def rerun(outcome: str | None, check: str = "b") -> dict[str, Any]:
    return {"kind": "rerun", "at": AT, "id": check, "outcome": outcome}
