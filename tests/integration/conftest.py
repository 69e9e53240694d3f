import asyncio
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_state import docker
from toy import PASSING, Ran, Toy, write_toy_subject

from matrixci.engine.client import Engine
from matrixci.errors import EngineError


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip if no engine is available, or fail if one is required."""
    try:
        asyncio.run(Engine.connect())
    except EngineError as error:
        if os.environ.get("MATRIXCI_REQUIRE_ENGINE") == "1":
            pytest.fail(f"MATRIXCI_REQUIRE_ENGINE=1, but no engine is available: {error}")
        pytest.skip(f"no container engine: {str(error).splitlines()[0]}")


@pytest.fixture(scope="session")
def built(engine: None) -> Iterator[set[str]]:  # noqa: ARG001
    """Collect the tags of images built during the session, and remove the images at its end."""
    tags: set[str] = set()
    yield tags
    form = "{{.Repository}}:{{.Tag}} {{.ID}}"
    listed = docker("image", "ls", "matrixci/cell", "--no-trunc", "--format", form).splitlines()
    found = dict(line.split() for line in listed)
    # Remove by id: other cells tagged the images, too. Some tags moved to newer images.
    if ids := {found[tag] for tag in tags if tag in found}:
        docker("image", "rm", "--force", *ids)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_subject(tmp_path_factory.mktemp("subject"), secrets.token_hex(8))


@contextmanager
def _toy(folder: Path, wheel: Path, built: set[str]) -> Iterator[Toy]:
    toy = Toy(folder=folder, wheel=wheel, built=built)
    toy.temporary.mkdir()
    try:
        with pytest.MonkeyPatch.context() as patch:
            # This marks the temporary files and child processes of the run.
            patch.setenv("TMPDIR", str(toy.temporary))
            patch.setattr(tempfile, "tempdir", None)
            yield toy
    finally:
        toy.clear()


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, wheel: Path, built: set[str]) -> Ran:
    """Run two cells with the same packages, which builds the image of the toy."""
    folder = tmp_path_factory.mktemp("first")
    with _toy(folder, wheel, built) as toy:
        return toy.run(PASSING, {"plain": {}, "other": {"environment": {"OTHER": "1"}}})


@pytest.fixture
def toy_elsewhere(tmp_path: Path, wheel: Path) -> Iterator[Toy]:
    """Return a toy for another engine, without images on the shared one."""
    with _toy(tmp_path, wheel, set()) as toy:
        yield toy


@pytest.fixture(scope="session")
def images(first_run: Ran) -> list[str]:
    """Return the image of the toy and its base images, to be copied to other engines."""
    image = first_run.cells["plain"].image
    assert image is not None
    form = "{{.Repository}}:{{.Tag}}"
    systems = docker("image", "ls", "matrixci/system", "--format", form).split()
    return [image.tag, image.base, *systems]


@pytest.fixture
def toy(tmp_path: Path, wheel: Path, built: set[str], first_run: Ran) -> Iterator[Toy]:
    """Return a toy whose image exists already."""
    assert first_run.exit_code == 0
    with _toy(tmp_path, wheel, built) as toy:
        yield toy
