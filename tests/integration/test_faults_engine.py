"""Tests of engines that restart or are killed, and of containers and images that vanish."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from engine_link import EngineLink, linked
from engine_state import docker, resources_of, running_containers, wait_until
from own_engine import DisconnectedEngine, own_engine
from scenarios import BLOCKING, MODES, BlockedBuild, is_blocked, release
from toy import PASSED, PASSING, Command, Ran, Toy, outcomes_of

from matrixci.model import CellOutcome, Reason
from matrixci.runs.folder import read_run

pytestmark = pytest.mark.faults

LOST = (CellOutcome.ERROR, Reason.ENGINE)
LIMITS = {"check-timeout": 600, "cell-timeout": 600}
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])


@pytest.fixture
def link(toy: Toy) -> Iterator[EngineLink]:
    with linked(toy.folder) as link:
        yield link


def test_cell_is_retried_when_the_engine_returns(toy: Toy, link: EngineLink) -> None:
    toy.write(BLOCKING, MODES, LIMITS, retries=2)

    with toy.command(DOCKER_HOST=link.host) as command:
        command.wait_for(lambda: is_blocked(toy))
        first = running_containers(toy.latest())
        link.cut()
        command.wait_for(lambda: "attempt 1 of 3" in command.stderr)
        (toy.folder / "engine").unlink()
        with linked(toy.folder):  # on the same socket
            command.wait_for(lambda: set(running_containers(toy.latest())) - set(first))
            command.wait_for(lambda: release(toy.latest()))
            assert command.end() == 0

    assert_retried(toy.ended(toy.latest(), 0))


def assert_retried(ran: Ran) -> None:
    """Check that only the unfinished cell was retried."""
    assert ran.outcomes == {"quick": PASSED, "slow": PASSED}
    assert (ran.cells["quick"].attempts, ran.cells["slow"].attempts) == (1, 2)


# A container that is killed from outside


@pytest.mark.parametrize("way", [["kill"], ["rm", "--force"]])
def test_cell_is_retried_when_its_container_is_killed_from_outside(
    toy: Toy, way: list[str]
) -> None:
    toy.write(BLOCKING, MODES, LIMITS, retries=1)

    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        docker("container", *way, *running_containers(toy.latest()))
        command.wait_for(lambda: "attempt 1 of 2" in command.stderr)
        command.wait_for(lambda: release(toy.latest()))
        assert command.end() == 0

    assert_retried(toy.ended(toy.latest(), 0))


def test_container_killed_from_outside_is_an_engine_error(toy: Toy) -> None:
    toy.write(BLOCKING, MODES, LIMITS)

    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        docker("container", "kill", *running_containers(toy.latest()))
        assert command.end() == 3

    ran = toy.ended(toy.latest(), 3)
    assert ran.outcomes == {"quick": PASSED, "slow": LOST}
    assert ran.cells["slow"].message == (
        "The container was killed from outside: the engine sent it signal 9."
    )


# An engine of the tests, killed and restarted


@pytest.fixture(scope="module")
def module_engine(
    images: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DisconnectedEngine]:
    with own_engine(tmp_path_factory.mktemp("own"), images) as engine:
        yield engine


@pytest.fixture
def own(
    toy: Toy, module_engine: DisconnectedEngine, images: list[str]
) -> Iterator[DisconnectedEngine]:
    """Return a running engine without containers, and check that the test leaves it so."""
    module_engine.copy_images(images)
    yield module_engine
    module_engine.start()
    module_engine.remove_all_but(images)
    assert module_engine.docker("container", "ls", "--all", "--quiet") == ""
    assert module_engine.docker("volume", "ls", "--quiet") == ""
    assert toy.processes() == []
    assert list(toy.temporary.iterdir()) == []


def wait_until_blocked(command: Command, toy: Toy, own: DisconnectedEngine) -> None:
    def blocked() -> bool:
        printed = command.stderr
        return (
            "mode-quick: ✓ passed" in printed
            and len(running_containers(toy.latest(), own.host)) == 1
        )

    command.wait_for(blocked)


def ended(toy: Toy, own: DisconnectedEngine, status: int) -> Ran:
    """Return the last run, and check that nothing of it is left on either engine."""
    ran = toy.ended(toy.latest(), status)
    assert resources_of(ran.run, own.host) == []
    return ran


@BOTH
def test_engine_ends_while_checks_run(
    toy: Toy, own: DisconnectedEngine, number: signal.Signals
) -> None:
    toy.write(BLOCKING, MODES, LIMITS)

    with toy.command(environment=own.environment) as command:
        wait_until_blocked(command, toy, own)
        own.end(number)
        assert command.end() == 3

    own.start()
    lost = read_run(toy.work_dir / "runs" / toy.latest())
    assert outcomes_of(lost) == {"quick": PASSED, "slow": LOST}
    assert "Traceback" not in command.stderr
    toy.write(BLOCKING, {"quick": MODES["quick"]}, LIMITS)
    with toy.command("--fresh", environment=own.environment) as next_run:
        assert next_run.end() == 0
    assert resources_of(lost.run.id, own.host) == []


@BOTH
def test_cell_is_retried_when_the_engine_restarts(
    toy: Toy, own: DisconnectedEngine, number: signal.Signals
) -> None:
    toy.write(BLOCKING, MODES, LIMITS, retries=3)

    # As with socket activation by systemd: connections are not refused while the engine restarts.
    # Requests wait, and the exit status of the container is 143 or 137 afterwards.
    with linked(toy.folder, own.host) as link:
        environment = {**own.environment, "DOCKER_HOST": link.host}
        with toy.command(environment=environment) as command:
            wait_until_blocked(command, toy, own)
            link.hold()
            own.end(number)
            own.start()
            link.resume()
            command.wait_for(lambda: "attempt 1 of 4" in command.stderr)
            command.wait_for(lambda: release(toy.latest(), own.host))
            assert command.end() == 0

    assert_retried(ended(toy, own, 0))


@BOTH
def test_engine_ends_during_a_build(
    toy: Toy, own: DisconnectedEngine, number: signal.Signals
) -> None:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement])

    with toy.command(environment=own.environment) as command:
        command.wait_for(lambda: blocked_build.has_begun(toy))
        own.end(number)
        assert command.end() == 3

    own.start()
    ran = ended(toy, own, 3)
    assert ran.outcomes == {"plain": LOST}
    assert "Traceback" not in command.stderr
    blocked_build.release()  # a dockerd that ends leaves the processes of its builds running
    assert wait_until(lambda: not blocked_build.processes())


@BOTH
def test_build_is_retried_when_the_engine_restarts(
    toy: Toy, own: DisconnectedEngine, number: signal.Signals
) -> None:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement], retries=3)

    with toy.command(environment=own.environment) as command:
        command.wait_for(lambda: blocked_build.has_begun(toy))
        own.end(number)
        blocked_build.release()  # a dockerd that ends leaves the processes of its builds running
        assert wait_until(lambda: not blocked_build.processes())
        own.start()
        command.wait_for(lambda: "attempt 1 of 4" in command.stderr)
        command.wait_for(lambda: blocked_build.has_begun(toy) and blocked_build.release())
        assert command.end() == 0

    ran = ended(toy, own, 0)
    toy.built.clear()  # the image is not on the shared engine
    assert ran.outcomes == {"plain": PASSED}
    assert ran.cells["plain"].attempts == 2


# Cleaning up during a run


def clean(toy: Toy, own: DisconnectedEngine) -> str:
    argv = [sys.executable, "-m", "matrixci", "clean", "--work-dir", str(toy.work_dir)]
    environment = {**os.environ, **own.environment}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    return " ".join(done.stdout.split())


def test_clean_keeps_containers_and_images_of_a_running_run(
    toy: Toy, own: DisconnectedEngine
) -> None:
    toy.write(BLOCKING, MODES, LIMITS)

    with toy.command("--fresh", name="dead-", environment=own.environment) as dead:
        wait_until_blocked(dead, toy, own)
        killed = toy.latest()
        with toy.command("--fresh", environment=own.environment) as living:
            wait_until_blocked(living, toy, own)
            dead.end(signal.SIGKILL)
            assert len(resources_of(killed, own.host)) == 2

            said = clean(toy, own)

            assert said == (
                "removed 1 container, 1 volume, 0 images; "
                "kept 1 container, 1 volume, 1 image in use by a run"
            )
            assert resources_of(killed, own.host) == []
            assert release(toy.latest(), own.host)
            assert living.end() == 0

    assert ended(toy, own, 0).outcomes == {"quick": PASSED, "slow": PASSED}
    assert clean(toy, own) == "removed 0 containers, 0 volumes, 1 image"


# An image that is removed before it is used


def test_missing_image_is_rebuilt(toy: Toy) -> None:
    passing = f"print({secrets.token_hex(8)!r})"  # an image that only this test uses
    ran = toy.run(PASSING, precompile=[passing])
    image = ran.cells["plain"].image
    assert image is not None
    docker("image", "rm", "--force", image.id)

    again = toy.run(PASSING, fresh=True, precompile=[passing])

    assert again.outcomes == {"plain": PASSED}
    assert again.cells["plain"].image is not None


def test_image_removed_before_its_container_is_created(toy: Toy) -> None:
    passing = f"print({secrets.token_hex(8)!r})"
    modes = {
        mode: {"environment": {"BLOCK_SECONDS": "600", "MODE": mode}} for mode in ("one", "two")
    }
    toy.write(BLOCKING, modes, LIMITS, retries=1, precompile=[passing])

    with toy.command("--jobs", "1") as command:
        command.wait_for(
            lambda: (
                command.stderr.count(": waiting for a free slot") == 2
                and len(resources_of(toy.latest())) == 2
                and running_containers(toy.latest())
            )
        )
        (first,) = running_containers(toy.latest())
        image = docker("container", "inspect", "--format", "{{.Config.Image}}", first).strip()
        docker("image", "rm", "--force", image)
        command.wait_for(lambda: release(toy.latest()))
        command.wait_for(lambda: "attempt 1 of 2" in command.stderr)
        command.wait_for(lambda: release(toy.latest()))
        assert command.end() == 0

    assert "No such image" in command.stderr
    ran = toy.ended(toy.latest(), 0)
    assert set(ran.outcomes.values()) == {PASSED}
    assert sorted(cell.attempts for cell in ran.cells.values()) == [1, 2]


def test_base_image_removed_before_the_build(toy: Toy, first_run: Ran) -> None:
    usual = first_run.cells["plain"].image
    assert usual is not None
    blocked_build = BlockedBuild()
    # Two locks give two images, which are built one after the other.
    modes = {
        mode: {"base": f"matrixci-tests/base:{blocked_build.token}-{mode}", "requires": requires}
        for mode, requires in (("one", "six==1.16.0"), ("two", "six==1.17.0"))
    }
    for mode in modes.values():
        docker("image", "tag", usual.base, mode["base"])
    toy.write(PASSING, modes, precompile=[blocked_build.statement])

    with toy.command("--jobs", "1") as command:
        build_folders = "matrixci-build@*"  # exist once the base images are resolved
        command.wait_for(lambda: len(list(toy.temporary.glob(build_folders))) == len(modes))
        command.wait_for(lambda: blocked_build.has_begun(toy))
        docker("image", "rm", *(mode["base"] for mode in modes.values()))
        command.wait_for(blocked_build.release)
        assert command.end() == 3

    ran = toy.ended(toy.latest(), 3)
    gone = (CellOutcome.ERROR, Reason.BASE)
    assert sorted(ran.outcomes.values(), key=str) == sorted((PASSED, gone), key=str)
    (lost,) = (cell for cell in ran.cells.values() if cell.outcome is CellOutcome.ERROR)
    assert "was removed from the container engine" in lost.message
