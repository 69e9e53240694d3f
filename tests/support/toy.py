"""A toy subject with its matrix and checks: what the real engine is tried with, in seconds a cell.

Whatever a run came to, `Toy` holds it to leaving nothing behind.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from engine_state import (
    TIMEOUT_SECONDS,
    processes_with,
    remove_resources_of,
    resources_of,
    wait_until,
)
from factories import write_wheel
from listeners import RecordingListener

from matrixci.execution.execute import execute
from matrixci.execution.listener import Listener
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.locks.subject import resolve_subject
from matrixci.matrix.loader import load_matrix
from matrixci.matrix.selection import Selection, select_cells
from matrixci.model import CellOutcome, CellResult, Reason
from matrixci.runs.folder import StoredRun, read_run
from matrixci.verdict.judge import exit_code
from matrixci.verdict.judged import JudgedRun

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIMITS = {
    "memory": "256 MiB",
    "pids": 128,
    "cpus": 1,
    "tmp-size": "64 MiB",
    "check-timeout": 60,
    "cell-timeout": 300,
    "build-timeout": 600,
    "min-free-disk": "1 GiB",
}
PASSED = (CellOutcome.PASSED, None)
PLAIN: Mapping[str, Mapping[str, Any]] = {"plain": {}}
PASSING = {
    "test_toy.py": """
        import toysubject

        def test_answers():
            '''The toy knows the answer.'''
            assert toysubject.ANSWER == 42
        """
}
# What an interpreter does at its start, where a cell tells it to: lie about what is installed.
_LIES = """
import os
if os.environ.get("TOY_LIE") == "python":
    import platform
    platform.python_version = lambda: "3.99.0"
elif os.environ.get("TOY_LIE") == "version":
    import importlib.metadata
    importlib.metadata.Distribution.version = "0.1"
"""


def write_toy_subject(folder: Path, token: str) -> Path:
    """Write the subject; the token makes it one that no image was ever built of."""
    files = {
        "toysubject.py": f"ANSWER = 42\nTOKEN = {token!r}\n",
        "toysubject_lies.py": _LIES,
        "toysubject.pth": "import toysubject_lies\n",
    }
    return write_wheel(folder, "toysubject-1.0", files=files)


def by_mode(stored: StoredRun) -> dict[str, CellResult]:
    return {name.partition("-mode-")[2]: result for name, result in stored.results.items()}


def outcomes_of(stored: StoredRun) -> dict[str, tuple[CellOutcome, Reason | None]]:
    return {mode: (cell.outcome, cell.reason) for mode, cell in by_mode(stored).items()}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run that came to its end, as its folder has it."""

    stored: StoredRun
    exit_code: int
    judged: JudgedRun | None = None

    @property
    def run(self) -> str:
        return self.stored.run.id

    @property
    def cells(self) -> dict[str, CellResult]:
        """The stored results by their mode."""
        return by_mode(self.stored)

    @property
    def outcomes(self) -> dict[str, tuple[CellOutcome, Reason | None]]:
        return outcomes_of(self.stored)

    def file(self, name: str | None) -> str:
        """Return a file that a result names, which must be there."""
        assert name is not None
        return (self.stored.folder / name).read_text()


def checks_of(cell: CellResult) -> dict[str, str]:
    """Return the outcomes of a cell's checks by the names of their functions."""
    return {check.id.partition("::")[2]: str(check.outcome) for check in cell.checks}


@dataclass(frozen=True, kw_only=True)
class Command:
    """The command line, under way."""

    process: subprocess.Popen[bytes]
    folder: Path
    name: str = ""

    @property
    def stdout(self) -> str:
        return (self.folder / f"{self.name}stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / f"{self.name}stderr").read_text()

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait for something that must happen before the command's end."""
        came = wait_until(lambda: condition() or self.process.poll() is not None)
        assert came, self.stderr
        assert self.process.poll() is None, self.stderr

    def end(self, number: signal.Signals | None = None) -> int:
        """Return the exit status, after a signal where one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A subject, and the folder where its matrix, its checks, its runs and temporary files lie."""

    folder: Path
    wheel: Path
    built: set[str]
    """The tags of the images that this session built, to be removed at its end."""

    @property
    def work_dir(self) -> Path:
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def checks(self) -> Path:
        return self.folder / "checks"

    @property
    def matrix(self) -> Path:
        return self.folder / "matrix.yaml"

    def write(
        self,
        checks: Mapping[str, str],
        modes: Mapping[str, Mapping[str, Any]] = PLAIN,
        limits: Mapping[str, object] | None = None,
        **more: object,
    ) -> None:
        """Write the matrix, one Python and these modes of the toy, and the files of checks."""
        text = {
            "subject": str(self.wheel),
            "axes": {"python": {PYTHON: {}}, "mode": modes},
            "precompile": ["import pytest"],
            "retries": 0,  # what is lost in a test stays lost
            "limits": {**LIMITS, **(limits or {})},
            **more,
        }
        self.matrix.write_text(json.dumps(text))
        self.checks.mkdir(exist_ok=True)
        for file in self.checks.iterdir():
            file.unlink()
        for name, source in checks.items():
            (self.checks / name).write_text(dedent(source))

    def run(
        self,
        checks: Mapping[str, str],
        modes: Mapping[str, Mapping[str, Any]] = PLAIN,
        limits: Mapping[str, object] | None = None,
        *,
        fresh: bool = False,
        listener: Listener | None = None,
        registry: str | None = None,
        **more: object,
    ) -> Ran:
        """Run the matrix to its end; nothing may be left of it but its folder and its images."""
        self.write(checks, modes, limits, **more)
        judged = asyncio.run(self._execute(listener or RecordingListener(), registry, fresh=fresh))
        return self.ended(judged.run.id, exit_code(judged), judged)

    async def _execute(self, listener: Listener, registry: str | None, *, fresh: bool) -> JudgedRun:
        matrix = load_matrix(self.matrix)
        settings = Settings(
            matrix=matrix,
            subject=await resolve_subject(matrix.subject, self.work_dir / "subjects"),
            checks=self.checks,
            work_dir=self.work_dir,
            options=ExecutionOptions(fresh=fresh, registry=registry),
        )
        return await execute(settings, select_cells(matrix, Selection()), listener, ["toy"])

    @contextmanager
    def command(
        self,
        *arguments: str,
        name: str = "",
        work_dir: Path | None = None,
        python: Path = Path(sys.executable),
        environment: Mapping[str, str] | None = None,
        **more: str,
    ) -> Iterator["Command"]:
        """Start the command that runs the matrix; it has ended when the context has.

        Its outputs are in files of this name.
        """
        argv = [str(python), "-m", "matrixci", "matrix", "--matrix", str(self.matrix)]
        argv += [
            "--checks",
            str(self.checks),
            "--work-dir",
            str(work_dir or self.work_dir),
            *arguments,
        ]
        with (
            (self.folder / f"{name}stdout").open("wb") as stdout,
            (self.folder / f"{name}stderr").open("wb") as stderr,
            subprocess.Popen(
                argv,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env={**os.environ, **(environment or {}), **more},
            ) as process,
        ):
            try:
                yield Command(process=process, folder=self.folder, name=name)
            finally:
                process.kill()

    def runs(self) -> list[str]:
        """Return the ids of the runs that there were."""
        return [path.parent.name for path in self.work_dir.glob("runs/2*/run.json")]

    def latest(self) -> str:
        """Return the id of the last run."""
        return (self.work_dir / "runs" / "latest").resolve().name

    def ended(self, run: str, exit_code: int, judged: JudgedRun | None = None) -> Ran:
        """Return a run that came to its end, held to leaving nothing behind."""
        stored = self.stored_run(self.work_dir / "runs" / run)
        assert stored.problems == ()
        assert stored.run.ended is not None
        return Ran(stored=stored, exit_code=exit_code, judged=judged)

    def stored_run(self, folder: Path) -> StoredRun:
        """Return what is in a run's folder, held to nothing else being left of it."""
        stored = read_run(folder)
        for result in stored.results.values():
            if result.image is not None and not result.image.reused:
                self.built.add(result.image.tag)
        left = self.leftovers(stored.run.id)
        assert left == [], left
        return stored

    def leftovers(self, run: str) -> list[str]:
        """Return what there is of a run beside its folder and its images."""
        return [
            *resources_of(run),
            *(str(path) for path in self.temporary.iterdir()),
            *(f"process {process}" for process in self.processes()),
        ]

    def processes(self) -> list[int]:
        """Return the processes that were started for a run, and still are."""
        return processes_with("environ", f"TMPDIR={self.temporary}")

    def clear(self) -> None:
        """Remove what runs left behind, so that a test that fails leaves nothing either."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for run in self.runs():
            remove_resources_of(run)
