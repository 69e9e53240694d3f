"""The matrix that faults are injected into: cells with various outcomes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from own_engine import DisconnectedEngine
from toy import PASSED, Toy, outcomes_of

from matrixci.execution.resume import unfinished
from matrixci.model import CellOutcome, CellResult, Reason
from matrixci.runs.folder import read_run

CHECKS: Final = {
    "test_toy.py": """
        import ctypes, os, time
        import toysubject

        def test_answers():
            assert toysubject.ANSWER == 42

        def test_doing():
            time.sleep(float(os.environ["SECONDS"]))
            exec(os.environ.get("DO", ""))

        def test_after():
            pass
        """
}


def _mode(seconds: float, do: str = "", **more: str) -> dict[str, Any]:
    return {"environment": {"SECONDS": str(seconds), "DO": do}, **more}


MODES: Final = {
    "quick": _mode(0),
    "paced": _mode(3),
    "slow": _mode(6),
    "other-image": _mode(2, requires="six==1.17.0"),
    "third-image": _mode(1, requires="six==1.16.0"),
    "fails": _mode(2, "assert 1 == 2"),
    "crashes": _mode(1, "ctypes.string_at(0)"),
    "eats": _mode(1, "b'x' * 2**29"),
    "unsolvable": _mode(0, requires="six==99"),
}
_FAILED: Final = (CellOutcome.FAILED, Reason.CHECKS)
EXPECTED: Final = {
    **dict.fromkeys(("quick", "paced", "slow", "other-image", "third-image"), PASSED),
    **dict.fromkeys(("fails", "crashes"), _FAILED),
    "eats": (CellOutcome.FAILED, Reason.OOM),
    "unsolvable": (CellOutcome.UNSATISFIABLE, Reason.RESOLVER),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A running matrix on a separate engine."""

    toy: Toy
    own: DisconnectedEngine
    finished: dict[str, bytes] = field(default_factory=dict)
    """Results of cells that finished before a fault, by cell id; they must not change."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the command, with an empty uv cache, so that it uses the index."""
        return {
            **self.own.environment,
            "TMPDIR": str(self.toy.temporary),
            "UV_CACHE_DIR": str(self.toy.folder / "uv"),
        }

    @property
    def folder(self) -> Path | None:
        """The folder of the run, or None before it exists."""
        return next((path.parent for path in self.toy.work_dir.glob("runs/2*/run.json")), None)

    def remember(self) -> None:
        """Store the results of finished cells."""
        if self.folder is None:
            return
        stored = read_run(self.folder)
        left = {cell.id for cell in unfinished(stored)}
        for cell in stored.results.keys() - left:
            self.finished.setdefault(cell, self._file(cell).read_bytes())

    def wrong(self, stderr: str) -> list[str]:
        """Return everything that is wrong after the last command."""
        if self.folder is None:
            return [f"no run: {stderr[-2000:]}"]
        stored = read_run(self.folder)
        found = outcomes_of(stored)
        wrong = [*stored.problems]
        if found != EXPECTED:
            differing = {
                mode: found.get(mode) for mode in EXPECTED if found.get(mode) != EXPECTED[mode]
            }
            messages = [_describe(cell) for cell in stored.results.values()]
            wrong.append(f"outcomes {differing}: {messages}")
        wrong += [
            f"the finished result of {cell} has changed"
            for cell, content in self.finished.items()
            if self._file(cell).read_bytes() != content
        ]
        if "Traceback" in stderr:
            wrong.append(stderr[-2000:])
        return wrong

    def left(self) -> list[str]:
        """Return everything left on the engine and on this machine."""
        listed = ["container", "ls", "--all", "--quiet"], ["volume", "ls", "--quiet"]
        return [
            *(thing for kind in listed for thing in self.own.docker(*kind).split()),
            *(str(path) for path in self.toy.temporary.iterdir()),
            *(f"process {process}" for process in self.toy.processes()),
        ]

    def _file(self, cell: str) -> Path:
        assert self.folder is not None
        return self.folder / "cells" / f"{cell}.json"


def _describe(cell: CellResult) -> str:
    return f"{cell.cell.id} {cell.outcome} {cell.attempts}: {cell.message[:300]}"
