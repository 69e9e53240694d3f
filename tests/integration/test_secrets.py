"""Tests that credentials reach the resolver and the builds, and are not stored."""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from engine_state import docker
from factories import write_wheel
from private_index import CHECKS, MODES, PrivateIndex, serving
from toy import PASSED, Ran, Toy

from matrixci.model import CellOutcome, Reason

_PIECE_BYTES = 2**20
_OVERLAP_BYTES = 200


@pytest.fixture
def index(tmp_path: Path, engine: None) -> Iterator[PrivateIndex]:  # noqa: ARG001
    """Serve a dependency of the toy from an index that requires a password."""
    wheel = write_wheel(tmp_path, "toydependency-1.0", files={"toydependency.py": ""})
    try:
        with serving(wheel) as server:
            yield server
    except OSError as error:
        pytest.skip(f"containers cannot reach this machine: {error}")


def new_secret() -> str:
    return f"geheim{secrets.token_hex(12)}"


def found(words: Sequence[str], ran: Ran, work_dir: Path) -> set[str]:
    """Return the words that occur in the work directory or in an image of the run."""
    return {word for piece in _pieces(ran, work_dir) for word in words if word.encode() in piece}


def _pieces(ran: Ran, work_dir: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in work_dir.rglob("*") if path.is_file())
    for image in {cell.image.tag for cell in ran.cells.values() if cell.image}:
        yield docker("image", "history", "--no-trunc", image).encode()
        yield docker("image", "inspect", image).encode()
        yield from _layers(image)


def _layers(image: str) -> Iterator[bytes]:
    """Yield the content of an image in overlapping pieces."""
    end = b""
    with subprocess.Popen(["docker", "image", "save", image], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        while piece := saving.stdout.read(_PIECE_BYTES):
            yield end + piece
            end = piece[-_OVERLAP_BYTES:]
    assert saving.returncode == 0


def test_credentials_reach_builds_and_are_not_stored(
    toy: Toy, index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused, kept = new_secret(), new_secret()
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine index.example login toyuser password {kept}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("UV_INDEX", index.url())
    monkeypatch.setenv("UV_INDEX_OTHER_PASSWORD", unused)

    ran = toy.run(CHECKS, MODES)

    assert ran.outcomes == {"open": PASSED, "closed": PASSED}
    assert index.served == {"machine", "build"}
    present = "toydependency.py"  # is in a layer, so that the search is known to work
    words = [present, index.password, index.credentials, unused, kept]
    assert found(words, ran, toy.work_dir) == {present}


def test_credentials_refused_by_an_index_are_not_reported(
    toy: Toy, index: PrivateIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = new_secret()
    monkeypatch.setenv("UV_INDEX", index.url(wrong))

    ran = toy.run(CHECKS, MODES)

    assert ran.outcomes == dict.fromkeys(MODES, (CellOutcome.ERROR, Reason.INDEX))
    assert ran.exit_code == 3
    assert "401 Unauthorized" in ran.cells["closed"].message
    assert not found([wrong], ran, toy.work_dir)


def test_credentials_refused_in_a_build_are_not_reported(
    toy: Toy, index: PrivateIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.allows_builds = False
    monkeypatch.setenv("UV_INDEX", index.url())

    ran = toy.run(CHECKS, MODES)

    assert ran.outcomes == {"open": PASSED, "closed": (CellOutcome.BLOCKED, Reason.BUILD)}
    assert "403 Forbidden" in ran.cells["closed"].message
    assert not found([index.password, index.credentials], ran, toy.work_dir)
