"""The reproduce command, run for a toy."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from engine_state import resources_of
from toy import Ran, Toy


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Result of a reproduce command."""

    code: int
    out: str
    err: str


def arguments(toy: Toy, ran: Ran, *words: str) -> list[str]:
    (cell,) = ran.stored.results
    argv = [sys.executable, "-m", "matrixci", "reproduce", cell, *words]
    return [*argv, "--run", ran.run, "--work-dir", str(toy.work_dir)]


def reproduce(toy: Toy, ran: Ran, *words: str, typed: str = "") -> Reproduction:
    """Reproduce a cell, and check that nothing is left behind."""
    done = subprocess.run(
        arguments(toy, ran, *words),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=toy.folder,
        env=dict(os.environ),
    )
    assert "Traceback" not in done.stderr
    if "--keep" not in words:
        assert [each for name in names(toy) for each in resources_of(name)] == []
    return Reproduction(code=done.returncode, out=done.stdout, err=done.stderr)


def names(toy: Toy) -> Sequence[str]:
    """Return the ids of all reproductions."""
    return [path.name for path in (toy.work_dir / "reproductions").glob("*")]
