"""Runs of the checks with seeded defects, in the image of a real release."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkup.data import Defect, matches
from checkup.real import ROOT, CellRun
from matrixci.engine.client import Engine
from matrixci.engine.container_spec import MOUNT_POINT, ContainerSpec
from matrixci.engine.labels import PROJECT_LABEL
from matrixci.sandbox import files as container_files

if TYPE_CHECKING:
    from collections.abc import Sequence

INSIDE = Path(__file__).parent / "inside"
MIB = 1 << 20
CHECK_SECONDS = 200
BAD = ("failed", "crashed", "timed-out")


@dataclass(frozen=True, kw_only=True)
class DefectRun:
    """Results of the checks with one defect."""

    defect: Defect
    problem: str
    """Why there is no result, or ""."""
    fired: dict[str, str]
    """Checks that pass without the defect, but not with it, to outcome and message."""

    @property
    def caught(self) -> dict[str, str]:
        """The failed checks that are expected to catch the defect."""
        wanted = self.defect.caught_by
        return {
            check: said
            for check, said in self.fired.items()
            if any(matches(glob, check) for glob in wanted)
        }


def checks_to_run(defect: Defect, clean: CellRun) -> list[str]:
    """Return the checks to run: those that must catch the defect, and related ones."""
    globs = (*defect.caught_by, *defect.related)
    return [check for check in clean.checks if any(matches(glob, check) for glob in globs)]


async def seed(defects: Sequence[Defect], clean: CellRun, logs: Path) -> list[DefectRun]:
    """Run the defects in as many containers as the engine has CPUs."""
    engine = await Engine.connect()
    lanes = max(1, engine.facts.cpus)
    shares = [defects[lane::lanes] for lane in range(lanes)]
    runs = [_share(engine, share, clean, logs / f"{lane}.log") for lane, share in enumerate(shares)]
    return [one for share in await asyncio.gather(*runs) for one in share]


async def _share(
    engine: Engine, defects: Sequence[Defect], clean: CellRun, log: Path
) -> list[DefectRun]:
    jobs = [
        {
            "name": defect.name,
            "patches": [patch.model_dump(exclude_none=True) for patch in defect.patches],
            "only": checks_to_run(defect, clean),
            "limit": 600,
        }
        for defect in defects
    ]
    spec = ContainerSpec(
        image=clean.image,
        command=("python3", f"{MOUNT_POINT}/checkup/drive.py"),
        labels={f"{PROJECT_LABEL}.cell": "checkup"},
        environment={
            "HOME": "/tmp/home",  # noqa: S108 - the container's own
            "TMPDIR": "/tmp",  # noqa: S108
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        files=_files(clean, jobs),
        results=container_files.RESULTS,
        memory=6144 * MIB,
        tmp_size=2048 * MIB,
        log_size=10 * MIB,
        result_size=64 * MIB,
        pids=512,
        cpus=1,
        time_limit=3600,
        gpu=None,
    )
    end = await engine.containers.run(spec, log)
    results = _unpacked(end.archive)
    return [_seen(defect, results, clean, log) for defect in defects]


def _files(clean: CellRun, jobs: list[dict[str, Any]]) -> bytes:
    cell = {
        "schema": 1,
        "nonce": "checkup",
        "run": "checkup",
        "cell": "checkup",
        "device": "cpu",
        "subject": "transformers",
        "builtin": True,
        "select": None,
        "only": None,
        "limits": {"check_seconds": CHECK_SECONDS},
        **clean.cell_values,
    }
    buffer = io.BytesIO(container_files.pack(cell, container_files.read_sources(ROOT / "checks")))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        contents = {path.name: path.read_bytes() for path in INSIDE.glob("*.py")}
        for name, content in {**contents, "jobs.json": json.dumps(jobs).encode()}.items():
            member = tarfile.TarInfo(f"checkup/{name}")
            member.size, member.mode = len(content), 0o444
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _unpacked(archive: bytes | None) -> dict[str, str]:
    """Return name to content of the files that the container left."""
    found: dict[str, str] = {}
    if archive is not None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    found[Path(member.name).name] = file.read().decode()
    return found


def _seen(defect: Defect, results: dict[str, str], clean: CellRun, log: Path) -> DefectRun:
    text = results.get(f"{defect.name}.jsonl")
    if text is None:
        problem = results.get(f"{defect.name}.error", f"it was not run: {log}")
        return DefectRun(defect=defect, problem=problem, fired={})
    lines = [json.loads(line) for line in text.splitlines()]
    ended = {line["id"]: line for line in lines if line["kind"] == "end"}
    left = [check for check in checks_to_run(defect, clean) if check not in ended]
    fired = {
        check: f"{end['outcome']}\n{end['message']}"
        for check, end in ended.items()
        if end["outcome"] in BAD and clean.checks[check][0] == "passed"
    }
    problem = f"not reported: {', '.join(left)}" if left else ""
    return DefectRun(defect=defect, problem=problem, fired=fired)
