"""Tests with an engine that cannot enforce resource limits."""

from collections.abc import Iterator

import pytest
from own_engine import OwnEngine, unlimited_engine
from toy import PASSED, PASSING, Toy

NONE = ("memory", "swap", "pids", "cpus")
MESSAGE = "cannot enforce limits on memory, swap, pids, cpus"
GREEDY = {
    "test_toy.py": """
        def test_memory_is_not_limited():
            assert len(bytearray(300 * 2**20)) > 256 * 2**20
    """
}


@pytest.fixture(scope="module")
def unlimited(images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    with unlimited_engine(tmp_path_factory.mktemp("unlimited"), images) as engine:
        yield engine


def test_unenforced_limits_are_recorded_for_the_run_and_its_cells(
    toy: Toy, unlimited: OwnEngine
) -> None:
    toy.write(GREEDY)

    with toy.command(DOCKER_HOST=unlimited.host) as command:
        assert command.end() == 0, command.stderr

    assert f"{MESSAGE}: checks run without them" in command.stderr
    ran = toy.ended(toy.latest(), 0)
    assert ran.outcomes == {"plain": PASSED}
    assert ran.cells["plain"].unenforced == NONE
    assert ran.stored.run.unenforced == NONE


def test_required_limits_refuse_an_engine_that_cannot_enforce_them(
    toy: Toy, unlimited: OwnEngine
) -> None:
    toy.write(PASSING)

    with toy.command("--require-limits", DOCKER_HOST=unlimited.host) as command:
        assert command.end() == 3

    assert MESSAGE in command.stderr
    assert toy.runs() == []


def test_result_without_limits_is_not_reused_when_limits_are_required(
    toy: Toy, unlimited: OwnEngine
) -> None:
    toy.write(PASSING)
    with toy.command(DOCKER_HOST=unlimited.host) as command:
        assert command.end() == 0, command.stderr
    first = toy.latest()

    with toy.command() as command:
        assert command.end() == 0, command.stderr
    assert toy.ended(toy.latest(), 0).cells["plain"].reused_from == first

    with toy.command("--require-limits") as command:
        assert command.end() == 0, command.stderr
    second = toy.ended(toy.latest(), 0).cells["plain"]
    assert (second.reused_from, second.unenforced) == (None, ())
