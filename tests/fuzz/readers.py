"""Readers to fuzz, with samples of their input and functions that damage it."""

import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matrixci.errors import MatrixFileError, ResolverError, RunFilesError, UsageError
from matrixci.fanout.plan import Plan, PlannedCell, PlannedLock, read_plan
from matrixci.locks.lock import Lock, parse_lock
from matrixci.matrix.definition import Matrix
from matrixci.matrix.loader import load_matrix
from matrixci.model import Cell, CellOutcome, CellResult, LockRecord, Run, Subject, now
from matrixci.outcomes import cell_outcome
from matrixci.runs.folder import read_run
from matrixci.sandbox.evidence import Exit, Expected, examine
from matrixci.sandbox.files import RESULT_FILE, RESULTS, unpack_results

REAL_MATRIX = Path(__file__).parents[2] / "matrix.yaml"
LIMIT = 2**20
AT = "2026-11-21T10:00:00+00:00"
CHECK = "test_a.py::test_one"
LOCK = LockRecord(
    digest="0" * 64, file="locks/a.txt", versions={}, torch_backend=None, fallback=False
)
CELL = Cell(
    id="py3.12",
    axes={"python": "3.12"},
    python="3.12",
    requires=(),
    environment={},
    torch_backend=None,
    base=None,
    gpu=False,
)
LOCKED = Lock(
    pins=parse_lock(
        "attrs==26.1.0 \\\n    --hash=sha256:00\n    # via toy, pytest\n"
        "toy @ file:///wheels/toy-1.0-py3-none-any.whl \\\n    --hash=sha256:11\n"
    ),
    torch_backend=None,
)
EXPECTED = Expected(run="run", nonce="nonce", cell=CELL, lock=LOCK)
PIECES = (
    *(b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\t", b"\\u0000"),
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"-", b"#", b"&a ", b"*a", b"<<: ", b"!!str "),
    *(b"null", b"true", b"1e999", b"NaN", b"-0", b"9" * 400, b"[" * 400, b'{"a":' * 400),
    *(b"../../etc/passwd", b"\x1b[2J", b"nonce", b"passed", b"kind", b"python", b"axes", b"id"),
)
Reader = tuple[Mapping[str, bytes], Callable[[bytes], str]]


def damaged(chance: random.Random, samples: list[bytes]) -> bytes:
    """Return a sample that was cut, joined, doubled or had pieces inserted."""
    data = chance.choice(samples)
    for _ in range(chance.randint(1, 5)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 2, 8, 64, 1024)))
        piece = chance.choice(PIECES)
        match chance.randint(0, 6):
            case 0:
                data = data[:start]
            case 1:
                data = data[:start] + data[end:]
            case 2:
                data = data[:start] + data[start:end] * 2 + data[end:]
            case 3:
                data = data[:start] + chance.choice(samples)[start:]
            case 4:
                data = data[:start] + chance.randbytes(chance.randint(1, 8)) + data[end:]
            case _:
                data = data[:start] + piece + data[end:]
    return data


def readers(folder: Path) -> dict[str, Reader]:
    """Return each reader by name, with its samples."""
    return {
        "matrix loader": ({"real": REAL_MATRIX.read_bytes()}, lambda data: _matrix(folder, data)),
        "result reader": (_results(), _evidence),
        "container's archive": (_archives(), _archive),
        "run folder": (_documents(), _run_folder(folder)),
        "plan": ({"plan": _plan().model_dump_json(indent=1).encode()}, _read_plan(folder)),
        "lock": ({"lock": LOCKED.annotated.encode()}, _lock),
    }


def _matrix(folder: Path, data: bytes) -> str:
    path = folder / "matrix.yaml"
    path.write_bytes(data)
    try:
        load_matrix(path)
    except MatrixFileError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith(str(path)) and line.isprintable() for line in lines), lines
        return "refused"
    return "read"


def _results() -> dict[str, bytes]:
    claim = {"claim": "", "reference": None, "severity": "error"}
    plain = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {"seconds": 0.5}}
    machine: dict[str, Any] = {"machine": "x86_64", "modules": {}, "torch_cuda": None, "gpus": 0}
    lines: list[dict[str, Any]] = [
        {"kind": "header", "schema": 1, "nonce": "nonce", "run": "run", "cell": CELL.id},
        {"kind": "attestation", "python": "3.12.1", "distributions": {}, **machine},
        {"kind": "collected", "checks": [{"id": CHECK, **claim}]},
        {"kind": "begin", "id": CHECK},
        {"kind": "end", "id": CHECK, "outcome": "failed", **plain},
        {"kind": "rerun", "id": CHECK, "outcome": "failed"},
        {"kind": "footer", "checks": 1, "ended": 1},
    ]
    text = "".join(json.dumps({"at": AT, **line}) + "\n" for line in lines)
    return {"failed": text.encode()}


def _evidence(data: bytes) -> str:
    found = examine(data, EXPECTED, Exit(status=0))
    outcome = cell_outcome(found.checks, found.problem).outcome
    # The check of the sample failed. A damaged result must never be better, unless the damage
    # produced a valid pass.
    if outcome is not CellOutcome.FAILED:
        assert found.problem is None
        assert b'"passed"' in data
        return "passed"
    return "no evidence" if found.problem else "read"


def _archives() -> dict[str, bytes]:
    archives = {}
    names = (f"{RESULTS}/{RESULT_FILE}", f"../{RESULT_FILE}", f"/{RESULTS}/{RESULT_FILE}")
    for name in names:
        for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "/etc/passwd"
                content = b"{}\n" if kind == tarfile.REGTYPE else b""
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            archives[f"{name} {kind!r}"] = buffer.getvalue()
    return archives


def _archive(data: bytes) -> str:
    found = unpack_results(data, LIMIT)
    assert found is None or len(found) <= LIMIT
    return "none" if found is None else "read"


def _documents() -> dict[str, bytes]:
    result = CellResult(run="run", cell=CELL, outcome=CellOutcome.FAILED, lock=LOCK)
    run = Run(
        id="run",
        began=now(),
        matrixci="0",
        commit=None,
        command=(),
        subject=Subject(name="toy", spec="toy", requirement="toy"),
        as_of=None,
        matrix_digest="",
        axes={"python": ("3.12",)},
        cells=(CELL,),
        resolver="uv",
    )
    documents = {"result": result, "run": run}
    return {name: each.model_dump_json(indent=1).encode() for name, each in documents.items()}


def _plan() -> Plan:
    return Plan(
        run=Run.model_validate_json(_documents()["run"]),
        matrix=Matrix.model_validate({"subject": "toy", "axes": {"python": {"3.12": None}}}),
        architecture="x86_64",
        locks={LOCKED.digest: PlannedLock.of(LOCKED)},
        cells={CELL.id: PlannedCell(lock=LOCKED.digest, fallback=False, runner=("a-label",))},
        unsatisfiable={},
        tools={"3.12": PlannedLock.of(LOCKED)},
    )


def _read_plan(folder: Path) -> Callable[[bytes], str]:
    path = folder / "plan.json"

    def read(data: bytes) -> str:
        path.write_bytes(data)
        try:
            plan = read_plan(path)
            for cell in plan.run.cells:
                plan.answer(cell.id)
        except UsageError:
            return "refused"
        return "read"

    return read


def _lock(data: bytes) -> str:
    try:
        pins = parse_lock(data.decode("utf-8", "replace"))
    except ResolverError:
        return "refused"
    assert all(pin.name and pin.version for pin in pins)
    return "read"


def _run_folder(work_dir: Path) -> Callable[[bytes], str]:
    folder = work_dir / "run"
    (folder / "cells").mkdir(parents=True)
    whole = _documents()

    def read(data: bytes) -> str:
        is_run = b'"resolver"' in data
        (folder / "run.json").write_bytes(data if is_run else whole["run"])
        cell = whole["result"] if is_run else data
        (folder / "cells" / f"{CELL.id}.json").write_bytes(cell)
        try:
            stored = read_run(folder)
        except RunFilesError:
            return "refused"
        assert is_run or len(stored.results) + len(stored.problems) == 1
        return "named as damaged" if stored.problems else "read"

    return read
