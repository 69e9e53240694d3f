"""State of the engine and of this machine, read without the code under test."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

TIMEOUT_SECONDS = 240.0  # enough on a busy machine


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test because something is missing here, or fail if an engine is required."""
    if os.environ.get("MATRIXCI_REQUIRE_ENGINE") == "1":
        pytest.fail(f"MATRIXCI_REQUIRE_ENGINE=1, but {reason}")
    pytest.skip(reason)


def docker(*arguments: str) -> str:
    """Run the docker client and return its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resources_of(run: str, engine: str | None = None) -> list[str]:
    """Return the containers and volumes labelled with a run."""
    return [*_listed("container", run, engine, "--all"), *_listed("volume", run, engine)]


def running_containers(run: str, engine: str | None = None) -> list[str]:
    """Return the running containers of a run."""
    return _listed("container", run, engine)


def remove_resources_of(run: str) -> None:
    """Remove the containers and volumes labelled with a run."""
    for container in _listed("container", run, None, "--all"):
        docker("container", "rm", "--force", "--volumes", container)
    for volume in _listed("volume", run, None):
        docker("volume", "rm", "--force", volume)


def _listed(kind: str, run: str, engine: str | None, *more: str) -> list[str]:
    host = [] if engine is None else ["--host", engine]
    label = f"label=org.matrixci.run={run}"
    return docker(*host, kind, "ls", "--quiet", "--filter", label, *more).split()


def started_containers(run: str) -> int:
    """Return how many containers of a run were started, by the events of the engine."""
    now = f"{time.time():.9f}"
    label = f"label=org.matrixci.run={run}"
    wanted = ["--filter", "type=container", "--filter", "event=start", "--filter", label]
    events = docker("events", "--since=1h", f"--until={now}", *wanted, "--format", "{{.ID}}")
    return len(events.split())


def processes_with(file: str, text: str) -> list[int]:
    """Return other processes with a text in one of their files in /proc."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return [process for process in found if process != os.getpid()]


def wait_until(condition: Callable[[], object]) -> bool:
    """Wait until a condition holds; return whether it does within the timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
