"""Tests of interrupted runs: they shut down cleanly and keep finished results."""

import asyncio
import signal
import socket
import time

import pytest
from engine_state import wait_until
from listeners import RecordingListener
from scenarios import BLOCKING, MODES, BlockedBuild, is_blocked
from toy import PASSED, PASSING, Toy

from matrixci.model import Cell, CellOutcome, Reason, StepName

CANCELLED = (CellOutcome.CANCELLED, Reason.INTERRUPTED)
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_run_interrupted_while_checks_run(toy: Toy, number: signal.Signals) -> None:
    toy.write(BLOCKING, MODES, {"check-timeout": 600, "cell-timeout": 600})

    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        status = command.end(number)

    assert status == 130
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"quick": PASSED, "slow": CANCELLED}
    assert ran.stored.run.interrupted
    assert "NOT READY" in command.stdout
    assert "Traceback" not in command.stderr


def test_next_run_removes_leftovers_of_a_run_interrupted_twice(toy: Toy) -> None:
    toy.write(BLOCKING, MODES, {"check-timeout": 600, "cell-timeout": 600})

    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        command.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        status = command.end(signal.SIGINT)

    assert status in {130, -signal.SIGINT}  # a shell reports both as 130
    interrupted = toy.latest()
    toy.run(PASSING)
    assert toy.leftovers(interrupted) == []


class InterruptingListener(RecordingListener):
    """Interrupt the run some seconds after its first cell enters the checks step."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.run: asyncio.Task[object] | None = None

    def planned(self, cells: tuple[Cell, ...]) -> None:  # noqa: ARG002
        self.run = asyncio.current_task()

    def entered(self, cell: Cell, step: StepName) -> None:  # noqa: ARG002
        if step is StepName.CHECKS:
            assert self.run is not None
            asyncio.get_running_loop().call_later(self.seconds, self.run.cancel)


# Covers creating the volume, creating, filling and starting the container, and its first steps.
@pytest.mark.parametrize("milliseconds", [0, 5, 10, 20, 40, 80, 160, 320])
def test_run_interrupted_at_any_moment_of_a_container(toy: Toy, milliseconds: int) -> None:
    modes = {"slow": MODES["slow"]}

    ran = toy.run(BLOCKING, modes, listener=InterruptingListener(milliseconds / 1000))

    assert ran.outcomes == {"slow": CANCELLED}
    assert ran.exit_code == 130


def test_run_interrupted_while_an_image_is_built(toy: Toy) -> None:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement])

    with toy.command() as command:
        command.wait_for(lambda: blocked_build.has_begun(toy))
        status = command.end(signal.SIGINT)

    assert status == 130
    ran = toy.ended(toy.latest(), status)
    assert ran.outcomes == {"plain": CANCELLED}
    assert ran.cells["plain"].image is None
    assert wait_until(lambda: not blocked_build.processes())
    assert "Traceback" not in command.stderr


def test_run_interrupted_while_the_index_does_not_answer(toy: Toy) -> None:
    toy.write(PASSING)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        cache = str(toy.folder / "cache")
        with toy.command(UV_DEFAULT_INDEX=index, UV_CACHE_DIR=cache) as command:
            connection, _ = silent.accept()
            status = command.end(signal.SIGINT)
        connection.close()

    assert status == 130
    assert toy.ended(toy.latest(), status).outcomes == {"plain": CANCELLED}
    assert "Traceback" not in command.stderr
