"""Cells with a package index that is unreachable, slow, failing or tampered with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import write_wheel
from private_index import CHECKS, MODES, Fault, PrivateIndex, serving
from toy import PASSED, PASSING, Toy

from matrixci.model import CellOutcome, Reason

pytestmark = pytest.mark.faults

INDEX = (CellOutcome.ERROR, Reason.INDEX)


@pytest.fixture
def index(tmp_path: Path, engine: None) -> Iterator[PrivateIndex]:  # noqa: ARG001
    """Serve a dependency of the toy package, with the faults that a test sets."""
    wheel = write_wheel(tmp_path, "toydependency-1.0", files={"toydependency.py": ""})
    try:
        with serving(wheel) as server:
            yield server
    except OSError as error:
        pytest.skip(f"the engine's containers cannot reach this machine: {error}")


@pytest.fixture(autouse=True)
def without_retries(index: PrivateIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Query the index once, with a short timeout."""
    monkeypatch.setenv("UV_INDEX", index.url())
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "3")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.SLOW, Fault.CUTS])
def test_an_index_that_fails_during_the_resolution(
    toy: Toy, index: PrivateIndex, fault: Fault
) -> None:
    index.faults["machine"] = fault

    ran = toy.run(CHECKS, {"closed": MODES["closed"]})

    assert ran.outcomes == {"closed": INDEX}
    assert ran.exit_code == 3
    assert index.password not in ran.cells["closed"].message


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.SLOW, Fault.CUTS])
def test_an_index_that_fails_during_a_build_is_an_index_error(
    toy: Toy, index: PrivateIndex, fault: Fault
) -> None:
    index.faults["build"] = fault

    ran = toy.run(CHECKS, MODES)

    assert ran.outcomes == {"open": PASSED, "closed": INDEX}
    assert ran.exit_code == 3
    message = ran.cells["closed"].message
    assert "The package index failed during a build" in message
    assert index.password not in message


def test_a_retry_succeeds_once_the_index_is_back(toy: Toy, index: PrivateIndex) -> None:
    index.faults["build"] = Fault.FAILS
    index.failures = 1

    ran = toy.run(CHECKS, {"closed": MODES["closed"]}, retries=2)

    assert ran.outcomes == {"closed": PASSED}
    assert ran.cells["closed"].attempts == 2


def test_a_wheel_with_a_wrong_hash_is_not_installed(toy: Toy, index: PrivateIndex) -> None:
    index.faults["build"] = Fault.FORGES

    ran = toy.run(CHECKS, MODES, retries=2)

    assert ran.outcomes == {"open": PASSED, "closed": (CellOutcome.BLOCKED, Reason.BUILD)}
    assert ran.exit_code == 1
    cell = ran.cells["closed"]
    assert "does not match the lock" in cell.message.splitlines()[0], cell.message
    assert cell.attempts == 1


def test_attempts_of_a_cell_are_counted(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")

    ran = toy.run(PASSING, retries=1)

    assert ran.outcomes == {"plain": INDEX}
    assert ran.cells["plain"].attempts == 2
