"""A real engine that enforces no limits: what is told of it, and when it is refused."""

from collections.abc import Iterator

import pytest
from own_engine import OwnEngine, limitless_engine
from toy import PASSED, PASSING, Toy

NONE = ("memory", "swap", "pids", "cpus")
TOLD = "cannot enforce limits on memory, swap, pids, cpus"
GREEDY = {
    "test_toy.py": """
        def test_memory_is_not_limited():
            assert len(bytearray(300 * 2**20)) > 256 * 2**20
    """
}


@pytest.fixture(scope="module")
def limitless(images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    with limitless_engine(tmp_path_factory.mktemp("limitless"), images) as engine:
        yield engine


def test_limits_that_do_not_hold_are_told_of_the_run_and_its_cells(
    toy: Toy, limitless: OwnEngine
) -> None:
    toy.write(GREEDY)

    with toy.command(DOCKER_HOST=limitless.host) as command:
        assert command.end() == 0, command.stderr

    assert f"{TOLD}: checks run without them" in command.stderr
    ran = toy.ended(toy.latest(), 0)
    assert ran.outcomes == {"plain": PASSED}
    assert ran.cells["plain"].unenforced == NONE
    assert ran.stored.run.unenforced == NONE


def test_limits_that_are_required_refuse_such_an_engine(toy: Toy, limitless: OwnEngine) -> None:
    toy.write(PASSING)

    with toy.command("--require-limits", DOCKER_HOST=limitless.host) as command:
        assert command.end() == 3

    assert TOLD in command.stderr
    assert toy.runs() == []


def test_what_ran_without_limits_is_not_reused_where_they_are_required(
    toy: Toy, limitless: OwnEngine
) -> None:
    toy.write(PASSING)
    with toy.command(DOCKER_HOST=limitless.host) as command:
        assert command.end() == 0, command.stderr
    first = toy.latest()

    with toy.command() as command:
        assert command.end() == 0, command.stderr
    assert toy.ended(toy.latest(), 0).cells["plain"].reused_from == first

    with toy.command("--require-limits") as command:
        assert command.end() == 0, command.stderr
    again = toy.ended(toy.latest(), 0).cells["plain"]
    assert (again.reused_from, again.unenforced) == (None, ())
