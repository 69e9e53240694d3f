"""A toy subject with its matrix and checks, for tests that use a real engine.

A cell takes seconds. `Toy` checks after each run that nothing is left behind.
"""

import asyncio
import json
import os
import secrets
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
# Imported when the interpreter starts. Reports a wrong version if the cell asks for it.
_LIES = """
import os
import secrets
if os.environ.get("TOY_LIE") == "python":
    import platform
    platform.python_version = lambda: "3.99.0"
elif os.environ.get("TOY_LIE") == "version":
    import importlib.metadata
    importlib.metadata.Distribution.version = "0.1"
"""


def write_toy_subject(folder: Path, token: str) -> Path:
    """Write the wheel of the subject; a new token needs a new image."""
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
    """A finished run, as stored in its folder."""

    stored: StoredRun
    exit_code: int
    judged: JudgedRun | None = None

    @property
    def run(self) -> str:
        return self.stored.run.id

    @property
    def cells(self) -> dict[str, CellResult]:
        """The stored results by mode."""
        return by_mode(self.stored)

    @property
    def outcomes(self) -> dict[str, tuple[CellOutcome, Reason | None]]:
        return outcomes_of(self.stored)

    def file(self, name: str | None) -> str:
        """Return the content of a file that a result names."""
        assert name is not None
        return (self.stored.folder / name).read_text()


def checks_of(cell: CellResult) -> dict[str, str]:
    """Return the outcomes of the checks of a cell by function name."""
    return {check.id.partition("::")[2]: str(check.outcome) for check in cell.checks}


@dataclass(frozen=True, kw_only=True)
class Command:
    """A running matrixci command."""

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
        """Wait until a condition holds, and fail if the command ends before."""
        holds = wait_until(lambda: condition() or self.process.poll() is not None)
        assert holds, self.stderr
        assert self.process.poll() is None, self.stderr

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for the end and return the exit status, after sending a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A subject, and the folder of its matrix, checks, runs and temporary files."""

    folder: Path
    wheel: Path
    built: set[str]
    """Tags of images that this session built and removes at its end."""

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
        """Write the checks and a matrix with one Python and these modes."""
        text = {
            "subject": str(self.wheel),
            "axes": {"python": {PYTHON: {}}, "mode": modes},
            "precompile": ["import pytest"],
            "retries": 0,  # lost cells are not retried unless a test says so
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
        """Run the matrix, and check that only its folder and its images are left."""
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
        """Start the command that runs the matrix, and kill it at the end of the context.

        `name` is the prefix of the files with its output.
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
        """Return the ids of all runs."""
        return [path.parent.name for path in self.work_dir.glob("runs/2*/run.json")]

    def latest(self) -> str:
        """Return the id of the latest run."""
        return (self.work_dir / "runs" / "latest").resolve().name

    def ended(self, run: str, exit_code: int, judged: JudgedRun | None = None) -> Ran:
        """Return a finished run, and check that nothing is left behind."""
        stored = self.stored_run(self.work_dir / "runs" / run)
        assert stored.problems == ()
        assert stored.run.ended is not None
        return Ran(stored=stored, exit_code=exit_code, judged=judged)

    def stored_run(self, folder: Path) -> StoredRun:
        """Read the folder of a run, and check that nothing else of the run is left."""
        stored = read_run(folder)
        for result in stored.results.values():
            if result.image is not None and not result.image.reused:
                self.built.add(result.image.tag)
        left = self.leftovers(stored.run.id)
        assert left == [], left
        return stored

    def leftovers(self, run: str) -> list[str]:
        """Return everything of a run except its folder and its images."""
        return [
            *resources_of(run),
            *(str(path) for path in self.temporary.iterdir()),
            *(f"process {process}" for process in self.processes()),
        ]

    def processes(self) -> list[int]:
        """Return the running processes that runs started."""
        return processes_with("environ", f"TMPDIR={self.temporary}")

    def clear(self) -> None:
        """Remove leftovers of all runs, for tests that failed."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for run in self.runs():
            remove_resources_of(run)


def new_image() -> list[str]:
    """Return precompile statements that need a new image."""
    return ["import pytest", f"TOKEN = {secrets.token_hex(8)!r}"]
