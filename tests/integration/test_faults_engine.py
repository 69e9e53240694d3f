"""An engine that goes and comes back, runs that are killed and go on, interrupts in every step."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from matrixci.model import CellOutcome, Reason
from matrixci.run_folder import read_run

from .engine_link import EngineLink, linked
from .observed import containers_begun, docker, things_of, wait_until
from .own_engine import OwnEngine, own_engine
from .scenes import MODES, RESTING, EndlessBuild, is_resting
from .toy import PASSED, PASSING, Command, Ran, Toy, outcomes_of

pytestmark = pytest.mark.faults

LOST = (CellOutcome.ERROR, Reason.ENGINE)
CANCELLED = (CellOutcome.CANCELLED, Reason.INTERRUPTED)
LIMITS = {"check": 600, "cell": 600}
SHORT = {"quick": MODES["quick"], "slow": {"environment": {"REST": "20"}}}


@pytest.fixture
def link(toy: Toy) -> Iterator[EngineLink]:
    with linked(toy.folder) as link:
        yield link


def test_a_cell_whose_engine_came_back_is_tried_again(toy: Toy, link: EngineLink) -> None:
    toy.write(RESTING, SHORT, LIMITS, retries=2)

    with toy.command(DOCKER_HOST=link.host) as command:
        command.wait_for(lambda: is_resting(toy))
        link.cut()
        command.wait_for(lambda: "attempt 1 of 3" in command.stderr)
        (toy.folder / "engine").unlink()
        with linked(toy.folder):  # at the same place
            assert command.end() == 0

    ran = toy.ended(toy.latest(), 0)
    assert ran.outcomes == {"quick": PASSED, "slow": PASSED}
    assert (ran.cells["quick"].attempts, ran.cells["slow"].attempts) == (1, 2)
    assert "attempt 1 of 3" in command.stderr


# A killed run goes on


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ended_too_early_goes_on(toy: Toy, number: signal.Signals) -> None:
    toy.write(RESTING, SHORT, LIMITS)
    with toy.command() as command:
        command.wait_for(lambda: is_resting(toy))
        command.end(number)
    broken_off = toy.latest()
    before = read_run(toy.home / "runs" / broken_off)
    quick = next(cell.id for cell in before.run.cells if "quick" in cell.id)
    kept = (before.folder / "cells" / f"{quick}.json").read_bytes()

    with toy.command("--resume") as again:
        assert again.end() == 0

    assert toy.runs() == [broken_off]
    ran = toy.ended(broken_off, 0)
    assert ran.outcomes == {"quick": PASSED, "slow": PASSED}
    assert (before.folder / "cells" / f"{quick}.json").read_bytes() == kept
    assert containers_begun(broken_off) == 3  # quick, slow, slow
    assert ran.stored.run.command == before.run.command
    assert not ran.stored.run.interrupted

    with toy.command("--resume") as finished:
        assert finished.end() == 0
    assert "is finished" in finished.stderr
    assert containers_begun(broken_off) == 3


def test_a_run_whose_checks_were_changed_does_not_go_on(toy: Toy) -> None:
    toy.write(RESTING, SHORT, LIMITS)
    with toy.command() as command:
        command.wait_for(lambda: is_resting(toy))
        command.end(signal.SIGINT)
    (toy.checks / "test_toy.py").write_text("def test_other():\n    pass\n")

    with toy.command("--resume") as again:
        assert again.end() == 2

    assert "were changed since" in again.stderr


# Interrupted once and twice, in each step


@contextmanager
def resolving(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(PASSING)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)  # noqa: FBT003 - the standard library's own
        asked: list[socket.socket] = []

        def is_asked() -> bool:
            try:
                asked.append(silent.accept()[0])
            except BlockingIOError:
                return False
            return True

        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        yield {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(toy.folder / "cache")}, is_asked
        for each in asked:
            each.close()


@contextmanager
def building(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    endless = EndlessBuild()
    toy.write(PASSING, precompile=[endless.statement])
    yield {}, lambda: endless.is_under_way(toy)
    assert wait_until(lambda: not endless.processes())


@contextmanager
def checking(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(RESTING, MODES, LIMITS)
    yield {}, lambda: is_resting(toy)


@contextmanager
def waiting_to_try_again(toy: Toy) -> Iterator[tuple[dict[str, str], Callable[[], object]]]:
    toy.write(PASSING, retries=10)
    told = toy.folder / "stderr"
    environment = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    environment["UV_CACHE_DIR"] = str(toy.folder / "cache")
    yield environment, lambda: "attempt 1 of 11" in told.read_text()


Step = Callable[[Toy], AbstractContextManager[tuple[dict[str, str], Callable[[], object]]]]
STEPS = [resolving, building, checking, waiting_to_try_again]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_once_it_ends_in_order(toy: Toy, step: Step, number: signal.Signals) -> None:
    with (
        step(toy) as (environment, is_there),
        toy.command(home=toy.home, name="", **environment) as command,
    ):
        command.wait_for(is_there)
        began = time.monotonic()
        assert command.end(number) == 130
        assert time.monotonic() - began < 60

    ran = toy.ended(toy.latest(), 130)
    assert CANCELLED in ran.outcomes.values()
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("step", STEPS)
def test_interrupted_twice_it_ends_at_once(toy: Toy, step: Step) -> None:
    with step(toy) as (environment, is_there):
        with toy.command(home=toy.home, name="", **environment) as command:
            command.wait_for(is_there)
            command.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
            began = time.monotonic()
            assert command.end(signal.SIGINT) in {130, -signal.SIGINT}
            assert time.monotonic() - began < 30
        interrupted = toy.latest()
        toy.run(PASSING)

    assert toy.left_behind(interrupted) == []


# An engine of the test's own, killed and started anew


@pytest.fixture
def own(toy: Toy, first_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    image = first_run.cells["plain"].image
    assert image is not None
    form = "{{.Repository}}:{{.Tag}}"
    systems = docker("image", "ls", "matrixci/system", "--format", form).split()
    images = [image.tag, image.base, *systems]
    with own_engine(tmp_path_factory.mktemp("own"), images) as engine:
        yield engine
        assert toy.home.exists()


def rests(command: Command, toy: Toy, own: OwnEngine) -> None:
    def resting() -> bool:
        told = command.stderr
        return "mode-quick: ✓ passed" in told and len(own.containers_of(toy.latest())) == 1

    command.wait_for(resting)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_is_killed_and_started_anew_while_checks_run(
    toy: Toy, own: OwnEngine, number: signal.Signals
) -> None:
    toy.write(RESTING, MODES, LIMITS)

    with toy.command(DOCKER_HOST=own.host) as command:
        rests(command, toy, own)
        own.end(number)
        assert command.end() == 3

    own.start()
    lost = read_run(toy.home / "runs" / toy.latest())
    assert outcomes_of(lost) == {"quick": PASSED, "slow": LOST}
    assert "Traceback" not in command.stderr
    toy.write(RESTING, {"quick": MODES["quick"]}, LIMITS)
    with toy.command("--fresh", DOCKER_HOST=own.host) as next_run:
        assert next_run.end() == 0
    assert own.containers_of(lost.run.id) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_cell_outlives_an_engine_that_is_started_anew(
    toy: Toy, own: OwnEngine, number: signal.Signals
) -> None:
    toy.write(RESTING, SHORT, LIMITS, retries=3)

    with toy.command(DOCKER_HOST=own.host) as command:
        rests(command, toy, own)
        own.end(number)
        own.start()
        assert command.end() == 0

    stored = read_run(toy.home / "runs" / toy.latest())
    assert outcomes_of(stored) == {"quick": PASSED, "slow": PASSED}
    assert own.containers_of(stored.run.id) == []
    assert things_of(stored.run.id) == []  # nor on the engine that all others use


# An image that is gone when it is needed


def test_an_image_that_vanished_is_built_anew(toy: Toy) -> None:
    endless = EndlessBuild()
    passing = f"print({endless.token!r})"  # an image of this test's own
    ran = toy.run(PASSING, precompile=[passing])
    image = ran.cells["plain"].image
    assert image is not None
    toy.built.discard(image.tag)
    docker("image", "rm", "--force", image.tag)

    again = toy.run(PASSING, fresh=True, precompile=[passing])

    assert again.outcomes == {"plain": PASSED}
    assert again.cells["plain"].image is not None
