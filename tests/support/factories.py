"""Factories for cells, checks, results, runs and small wheels."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from matrixci.model import (
    Cell,
    CellOutcome,
    CellResult,
    CheckOutcome,
    CheckResult,
    EngineFacts,
    ImageRecord,
    KnownIssue,
    LockRecord,
    OwnWheel,
    Run,
)

RUN = "20261121T100000Z-abc123"
_CHECK = TypeAdapter(CheckResult)


def a_cell(python: str = "3.12", numpy: str = "2.x", device: str = "cpu", **fields: object) -> Cell:
    return Cell.model_validate(
        {
            "id": f"py{python}-numpy{numpy[0]}-{device}",
            "axes": {"python": python, "numpy": numpy, "device": device},
            "python": python,
            "requires": ("torch", "numpy>=2" if numpy == "2.x" else "numpy<2"),
            "environment": {},
            "torch_backend": "cpu" if device == "cpu" else None,
            "base": None,
            "gpu": device == "cuda",
            **fields,
        }
    )


def cells(
    pythons: Iterable[str] = ("3.12",),
    numpys: Sequence[str] = ("2.x",),
    devices: Sequence[str] = ("cpu",),
) -> tuple[Cell, ...]:
    return tuple(a_cell(p, n, d) for p in pythons for n in numpys for d in devices)


def a_check(
    name: str = "test_a.py::test_one",
    outcome: CheckOutcome = CheckOutcome.PASSED,
    **fields: object,
) -> CheckResult:
    claim = fields.pop("claim", f"{name.rpartition('::')[2]} holds.")
    return _CHECK.validate_python({"id": name, "claim": claim, "outcome": outcome, **fields})


def a_lock(versions: dict[str, str] | None = None, **fields: object) -> LockRecord:
    return LockRecord.model_validate(
        {
            "digest": "0" * 64,
            "file": "locks/a.txt",
            "versions": versions or {"transformers": "5.23.0", "torch": "2.15.0"},
            "torch_backend": None,
            "fallback": False,
            **fields,
        }
    )


def an_own_wheel(name: str = "tool", **fields: object) -> OwnWheel:
    url = f"git+https://host.example/a/{name}"
    return OwnWheel.model_validate(
        {
            "name": name,
            "spec": f"{name} @ {url}@main",
            "origin": f"{url}@{'c' * 40}",
            "requirement": f"{name} @ file:///away/{name}-2.0-py3-none-any.whl",
            "wheel": f"{name}-2.0-py3-none-any.whl",
            "digest": "0" * 64,
            "commit": "c" * 40,
            **fields,
        }
    )


def an_image(**fields: object) -> ImageRecord:
    return ImageRecord.model_validate(
        {
            "tag": "matrixci/cell:0123456789abcdef",
            "id": "sha256:00",
            "base": "python:3.12-slim-bookworm",
            "base_digest": "sha256:11",
            "base_origin": "registry",
            "reused": False,
            **fields,
        }
    )


def a_result(
    cell: Cell | None = None,
    outcome: CellOutcome = CellOutcome.PASSED,
    checks: Sequence[CheckResult] | None = None,
    **fields: object,
) -> CellResult:
    ran = outcome in {CellOutcome.PASSED, CellOutcome.PARTIAL, CellOutcome.FAILED}
    default = (a_check(),) if ran else ()
    return CellResult.model_validate(
        {
            "run": RUN,
            "cell": cell or a_cell(),
            "outcome": outcome,
            "checks": tuple(default if checks is None else checks),
            "lock": a_lock() if ran else None,
            **fields,
        }
    )


def a_run(of: Sequence[Cell] | None = None, **fields: object) -> Run:
    planned = tuple(of) if of is not None else cells()
    axes: dict[str, dict[str, None]] = {}
    for cell in planned:
        for axis, value in cell.axes.items():
            axes.setdefault(axis, {})[value] = None
    return Run.model_validate(
        {
            "id": RUN,
            "began": "2026-11-21T10:00:00Z",
            "ended": "2026-11-21T10:20:00Z",
            "matrixci": "0.1.0",
            "commit": None,
            "command": ("matrix",),
            "subject": {
                "name": "transformers",
                "spec": "transformers",
                "requirement": "transformers",
            },
            "companions": ("torch",),
            "as_of": None,
            "matrix_digest": "00",
            "axes": {axis: tuple(values) for axis, values in axes.items()},
            "cells": planned,
            "resolver": "uv 0.13.9",
            **fields,
        }
    )


def an_engine(**fields: object) -> EngineFacts:
    return EngineFacts.model_validate(
        {
            "version": "26.1.5",
            "buildx": "0.13.1",
            "architecture": "x86_64",
            "cpus": 2,
            "memory": 16 * 2**30,
            "storage": "overlay2",
            "gpu": None,
            **fields,
        }
    )


def an_issue(check: str = "test_a.py::test_one", **fields: object) -> KnownIssue:
    return KnownIssue.model_validate(
        {
            "check": check,
            "reference": "a/b#1",
            "reason": "not fixed yet",
            "expires": "2027-06-30",
            **fields,
        }
    )


def write_wheel(
    folder: Path,
    release: str,
    requires: Sequence[str] = (),
    *,
    files: Mapping[str, str] | None = None,
    python: str | None = None,
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel of a release, such as toy-1.0, without a build backend."""
    name, _, version = release.partition("-")
    wheel = folder / f"{name}-{version}-{tag}.whl"
    about = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Python: {python}"] if python else []
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    content = {
        **(files or {}),
        f"{about}/METADATA": "\n".join(metadata) + "\n",
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},,\n" for path in [*content, f"{about}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
