"""An index that is away, slow, failing or forged: who is at fault is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import write_wheel
from private_index import Fault, PrivateIndex, serving
from toy import PASSED, PASSING, Toy

from matrixci.model import CellOutcome, Reason

from .test_secrets import CHECKS, MODES

pytestmark = pytest.mark.faults

INDEX = (CellOutcome.ERROR, Reason.INDEX)


@pytest.fixture
def index(tmp_path: Path, engine: None) -> Iterator[PrivateIndex]:  # noqa: ARG001
    """Serve a dependency of the toy's, well or badly."""
    wheel = write_wheel(tmp_path, "toydependency-1.0", files={"toydependency.py": ""})
    try:
        with serving(wheel) as server:
            yield server
    except OSError as error:
        pytest.skip(f"the engine's containers can't reach this machine: {error}")


@pytest.fixture(autouse=True)
def impatient(index: PrivateIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ask the index once, and not for long."""
    monkeypatch.setenv("UV_INDEX", index.url())
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "3")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.SLOW, Fault.CUTS])
def test_an_index_that_is_lost_while_it_is_asked(
    toy: Toy, index: PrivateIndex, fault: Fault
) -> None:
    index.faults["machine"] = fault

    ran = toy.run(CHECKS, {"closed": MODES["closed"]})

    assert ran.outcomes == {"closed": INDEX}
    assert ran.exit_code == 3
    assert index.password not in ran.cells["closed"].message


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.SLOW, Fault.CUTS])
def test_an_index_that_is_lost_in_a_build_is_no_fault_of_the_subject(
    toy: Toy, index: PrivateIndex, fault: Fault
) -> None:
    index.faults["build"] = fault

    ran = toy.run(CHECKS, MODES)

    assert ran.outcomes == {"open": PASSED, "closed": INDEX}
    assert ran.exit_code == 3
    message = ran.cells["closed"].message
    assert "lost in the middle of a build" in message
    assert index.password not in message


def test_an_index_that_comes_back_in_time_is_no_matter(toy: Toy, index: PrivateIndex) -> None:
    index.faults["build"] = Fault.FAILS
    index.failures = 1

    ran = toy.run(CHECKS, {"closed": MODES["closed"]}, retries=2)

    assert ran.outcomes == {"closed": PASSED}
    assert ran.cells["closed"].attempts == 2


def test_a_wheel_whose_hash_is_wrong_is_not_installed(toy: Toy, index: PrivateIndex) -> None:
    index.faults["build"] = Fault.FORGES

    ran = toy.run(CHECKS, MODES, retries=2)

    assert ran.outcomes == {"open": PASSED, "closed": (CellOutcome.BLOCKED, Reason.BUILD)}
    assert ran.exit_code == 1
    cell = ran.cells["closed"]
    assert "does not match the lock" in cell.message.splitlines()[0], cell.message
    assert cell.attempts == 1


def test_what_persists_is_tried_as_often_as_it_says(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")

    ran = toy.run(PASSING, retries=1)

    assert ran.outcomes == {"plain": INDEX}
    assert ran.cells["plain"].attempts == 2
