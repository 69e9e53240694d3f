"""The command line, interrupted: it ends in order, and what had finished is kept."""

import asyncio
import secrets
import signal
import socket
import time

import pytest

from matrixci.model import Cell, CellOutcome, Reason, StepName

from matrixci.run_folder import read_run
from .engine_link import linked
from .toy import PASSED, PASSING, Silent, Toy, processes_with, things_of, wait_until

CANCELLED = (CellOutcome.CANCELLED, Reason.INTERRUPTED)
RESTING = {
    "test_toy.py": """
        import os, time

        def test_rests():
            time.sleep(float(os.environ["REST"]))
        """
}
MODES = {"quick": {"environment": {"REST": "0"}}, "slow": {"environment": {"REST": "600"}}}
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def resting(toy: Toy) -> bool:
    """Tell whether the quick cell has ended, and the slow one's container is there."""
    told = (toy.folder / "stderr").read_text()
    return (
        "mode-quick: ✓ passed" in told
        and "mode-slow: running checks" in told
        and len(things_of(toy.latest())) == 2
    )


@BOTH
def test_interrupted_while_checks_run(toy: Toy, number: signal.Signals) -> None:
    toy.write(RESTING, MODES, {"check": 600, "cell": 600})

    with toy.command() as command:
        command.wait_for(lambda: resting(toy))
        status = command.end(number)

    assert status == 130
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"quick": PASSED, "slow": CANCELLED}
    assert ran.stored.run.interrupted
    assert "NOT READY" in command.stdout
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_interrupted_twice(toy: Toy, seconds: float) -> None:
    toy.write(RESTING, MODES, {"check": 600, "cell": 600})

    with toy.command() as command:
        command.wait_for(lambda: resting(toy))
        command.process.send_signal(signal.SIGINT)
        time.sleep(seconds)
        status = command.end(signal.SIGINT)

    assert status in {130, -signal.SIGINT}  # a shell says 130 of both
    assert toy.left_behind(toy.latest()) == []


class Impatient(Silent):
    """Interrupts the run so many seconds after it came to a container."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.run: asyncio.Task[object] | None = None

    def planned(self, cells: tuple[Cell, ...]) -> None:  # noqa: ARG002
        self.run = asyncio.current_task()

    def entered(self, cell: Cell, step: StepName) -> None:  # noqa: ARG002
        if step is StepName.CHECKS:
            assert self.run is not None
            asyncio.get_running_loop().call_later(self.seconds, self.run.cancel)


# Making the volume, making the container, filling it, starting it, its first steps.
@pytest.mark.parametrize("milliseconds", [0, 5, 10, 20, 40, 80, 160, 320])
def test_interrupted_at_any_moment_of_a_container_s_life(toy: Toy, milliseconds: int) -> None:
    modes = {"slow": MODES["slow"]}

    ran = toy.run(RESTING, modes, listener=Impatient(milliseconds / 1000))

    assert ran.outcomes == {"slow": CANCELLED}
    assert ran.exit_code == 130


def test_interrupted_while_an_image_is_built(toy: Toy) -> None:
    token = secrets.token_hex(8)
    endless = f"print('built', {token!r}, flush=True); import time; time.sleep(600)"
    toy.write(PASSING, precompile=[endless])

    def building() -> bool:
        logs = toy.home.glob("runs/latest/logs/image-*.log")
        return any(f"built {token}" in log.read_text(errors="replace") for log in logs)

    with toy.command() as command:
        command.wait_for(building)
        status = command.end(signal.SIGINT)

    assert status == 130
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"plain": CANCELLED}
    assert ran.cells["plain"].image is None
    wait_until(lambda: not processes_with("cmdline", token))
    assert "Traceback" not in command.stderr


def test_interrupted_while_the_index_is_silent(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.write(PASSING)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", str(toy.folder / "cache"))
        with toy.command() as command:
            silent.settimeout(60)
            asked, _ = silent.accept()
            status = command.end(signal.SIGINT)
        asked.close()

    assert status == 130
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"plain": CANCELLED}
    assert "Traceback" not in command.stderr


def test_what_a_killed_run_left_is_swept_by_the_next(toy: Toy) -> None:
    toy.write(RESTING, MODES, {"check": 600, "cell": 600})
    with toy.command() as command:
        command.wait_for(lambda: resting(toy))
        command.end(signal.SIGKILL)
    killed = toy.latest()

    toy.run(PASSING)

    assert things_of(killed) == []


def test_an_engine_that_is_lost_is_no_fault_of_the_subject(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write(RESTING, MODES, {"check": 600, "cell": 600})
    with linked(toy.folder) as link:
        monkeypatch.setenv("DOCKER_HOST", link.host)
        with toy.command() as command:
            monkeypatch.delenv("DOCKER_HOST")
            command.wait_for(lambda: resting(toy))
            link.cut()
            status = command.end()
    print(command.stderr, command.stdout, toy.left_behind(toy.latest()))

    assert status == 3
    lost = read_run(toy.home / "runs" / toy.latest())
    assert {} == lost.results
