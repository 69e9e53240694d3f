"""Tests of runs that lose the engine or are killed: results are kept, leftovers are removed."""

import signal
from collections.abc import Iterator

import pytest
from engine_link import EngineLink, linked
from engine_state import resources_of, wait_until
from scenarios import BLOCKING, MODES, BlockedBuild, is_blocked
from toy import PASSED, PASSING, Toy, outcomes_of

from matrixci.model import CellOutcome, Reason
from matrixci.runs.folder import read_run

LOST = (CellOutcome.ERROR, Reason.ENGINE)
LIMITS = {"check-timeout": 600, "cell-timeout": 600}


@pytest.fixture
def link(toy: Toy) -> Iterator[EngineLink]:
    with linked(toy.folder) as link:
        yield link


def test_engine_lost_while_checks_run_is_an_engine_error(toy: Toy, link: EngineLink) -> None:
    toy.write(BLOCKING, MODES, LIMITS)

    with toy.command(DOCKER_HOST=link.host) as command:
        command.wait_for(lambda: is_blocked(toy))
        link.cut()
        assert command.end() == 3

    lost = read_run(toy.work_dir / "runs" / toy.latest())
    assert outcomes_of(lost) == {"quick": PASSED, "slow": LOST}
    assert "Traceback" not in command.stderr
    toy.run(PASSING)
    assert resources_of(lost.run.id) == []


def test_engine_lost_while_an_image_is_built_is_an_engine_error(toy: Toy, link: EngineLink) -> None:
    blocked_build = BlockedBuild()
    toy.write(PASSING, precompile=[blocked_build.statement])

    with toy.command(DOCKER_HOST=link.host) as command:
        command.wait_for(lambda: blocked_build.has_begun(toy))
        link.cut()
        assert command.end() == 3

    assert toy.ended(toy.latest(), 3).outcomes == {"plain": LOST}
    assert "Traceback" not in command.stderr
    assert wait_until(lambda: not blocked_build.processes())


def test_next_run_removes_leftovers_of_a_killed_run(toy: Toy) -> None:
    toy.write(BLOCKING, MODES, LIMITS)
    with toy.command() as command:
        command.wait_for(lambda: is_blocked(toy))
        command.end(signal.SIGKILL)
    killed = toy.latest()

    toy.run(PASSING)

    assert resources_of(killed) == []
