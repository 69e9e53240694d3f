"""Tests of runs that are interrupted in each step or killed, and then resumed."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from engine_state import resources_of, running_containers, started_containers, wait_until
from scenarios import BLOCKING, MODES, BlockedBuild, is_blocked, release
from toy import PASSED, PASSING, Toy

from matrixci.model import CellOutcome, Reason
from matrixci.runs.folder import read_run

pytestmark = pytest.mark.faults

CANCELLED = (CellOutcome.CANCELLED, Reason.INTERRUPTED)
LIMITS = {"check-timeout": 600, "cell-timeout": 600}


# Resuming a killed run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_or_killed_run_is_resumed(toy: Toy, number: signal.Signals) -> None:
    toy.write(BLOCKING, MODES, LIMITS)
    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        command.end(number)
    first_id = toy.latest()
    left = running_containers(first_id)
    assert len(left) == (number == signal.SIGKILL)
    before = read_run(toy.work_dir / "runs" / first_id)
    quick = next(cell.id for cell in before.run.cells if "quick" in cell.id)
    kept = (before.folder / "cells" / f"{quick}.json").read_bytes()

    with toy.command("--resume") as resumed:
        resumed.wait_for(
            lambda: not set(left) & set(running_containers(first_id))
        )  # removed as leftovers
        resumed.wait_for(lambda: release(first_id))
        assert resumed.end() == 0

    assert toy.runs() == [first_id]
    ran = toy.ended(first_id, 0)
    assert ran.outcomes == {"quick": PASSED, "slow": PASSED}
    assert (before.folder / "cells" / f"{quick}.json").read_bytes() == kept
    assert started_containers(first_id) == 3  # quick, slow, slow
    assert ran.stored.run.command == before.run.command
    assert not ran.stored.run.interrupted

    with toy.command("--resume") as finished:
        assert finished.end() == 0
    assert "is finished" in finished.stderr
    assert started_containers(first_id) == 3


def test_run_whose_checks_changed_is_not_resumed(toy: Toy) -> None:
    toy.write(BLOCKING, MODES, LIMITS)
    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        command.end(signal.SIGINT)
    (toy.checks / "test_toy.py").write_text("def test_other():\n    pass\n")

    with toy.command("--resume") as resumed:
        assert resumed.end() == 2

    assert "have changed" in resumed.stderr


# Interrupting once and twice in each step


@contextmanager
def resolving(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(PASSING)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)  # noqa: FBT003 - the standard library's own
        connections: list[socket.socket] = []

        def is_connected() -> bool:
            try:
                connections.append(silent.accept()[0])
            except BlockingIOError:
                return False
            return True

        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        yield {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(toy.folder / "cache")}, is_connected
        for each in connections:
            each.close()


@contextmanager
def building(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement])
    yield {}, lambda: blocked_build.has_begun(toy)
    assert wait_until(lambda: not blocked_build.processes())


@contextmanager
def checking(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(BLOCKING, MODES, LIMITS)
    yield {}, lambda: is_blocked(toy)


@contextmanager
def waiting_to_retry(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(PASSING, retries=10)
    printed = toy.folder / "stderr"
    environment = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    environment["UV_CACHE_DIR"] = str(toy.folder / "cache")
    yield environment, lambda: "attempt 1 of 11" in printed.read_text()


Step = Callable[[Toy], AbstractContextManager[tuple[dict[str, str], Callable[[], object]]]]
STEPS = [resolving, building, checking, waiting_to_retry]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_interrupted_once_shuts_down_cleanly(
    toy: Toy, step: Step, number: signal.Signals
) -> None:
    with (
        step(toy) as (environment, is_there),
        toy.command(environment=environment) as command,
    ):
        command.wait_for(is_there)
        began = time.monotonic()
        assert command.end(number) == 130
        assert time.monotonic() - began < 60

    ran = toy.ended(toy.latest(), 130)
    assert CANCELLED in ran.outcomes.values()
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("step", STEPS)
def test_run_interrupted_twice_exits_at_once(toy: Toy, step: Step) -> None:
    with step(toy) as (environment, is_there):
        with toy.command(environment=environment) as command:
            command.wait_for(is_there)
            command.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
            began = time.monotonic()
            assert command.end(signal.SIGINT) in {130, -signal.SIGINT}
            assert time.monotonic() - began < 30
        interrupted = toy.latest()
        toy.run(PASSING)

    assert toy.leftovers(interrupted) == []


def test_leftovers_are_removed_only_when_their_run_is_dead(toy: Toy) -> None:
    toy.write(BLOCKING, MODES, LIMITS)
    with toy.command(name="alive-") as alive:
        alive.wait_for(lambda: is_blocked(toy, "alive-"))
        living = toy.latest()
        kept = resources_of(living)
        with toy.command("--fresh", name="killed-") as killed:
            killed.wait_for(lambda: is_blocked(toy, "killed-"))
            dead = toy.latest()
            killed.end(signal.SIGKILL)
        assert len(resources_of(dead)) == 2

        toy.write(PASSING)
        with toy.command(name="third-") as third:
            assert third.end() == 0

        assert resources_of(dead) == []
        assert resources_of(living) == kept
        assert release(living)
        assert alive.end() == 0
    assert toy.ended(living, 0).outcomes == {"quick": PASSED, "slow": PASSED}


def test_leftovers_of_a_run_killed_during_a_build_are_removed(toy: Toy) -> None:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement])
    with toy.command() as command:
        command.wait_for(lambda: blocked_build.has_begun(toy))
        command.end(signal.SIGKILL)
    killed = toy.latest()
    assert len(list(toy.temporary.iterdir())) == 1
    assert toy.processes() != []

    toy.run(PASSING)

    assert wait_until(lambda: not toy.leftovers(killed))
    assert wait_until(lambda: not blocked_build.processes())
