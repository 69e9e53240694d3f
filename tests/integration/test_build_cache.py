"""BuildKit's external build cache, with an engine that can export one and one that cannot."""

import json
from collections.abc import Iterator, Sequence

import pytest
from engine_state import docker
from own_engine import OwnEngine, connected_engine
from toy import PASSED, PASSING, Command, Ran, Toy, new_image, outcomes_of

from matrixci.runs.folder import StoredRun, read_run


@pytest.fixture
def containerd_engine(
    tmp_path_factory: pytest.TempPathFactory,
    engine: None,  # noqa: ARG001
    first_run: Ran,
) -> Iterator[OwnEngine]:
    """Return an engine that stores images in containerd and has the base images."""
    image = first_run.cells["plain"].image
    assert image is not None
    folder = tmp_path_factory.mktemp("store")  # a short path, for the sockets
    settings = folder / "daemon.json"
    settings.write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    with connected_engine(folder, f"--config-file={settings}") as own:
        form = "{{.Repository}}:{{.Tag}}"
        own.copy_images(
            [image.base, *docker("images", "--format", form, "matrixci/system").split()]
        )
        yield own


def run_with(toy: Toy, cache: str, engine: OwnEngine | None = None) -> tuple[StoredRun, Command]:
    host = {"DOCKER_HOST": engine.host} if engine else {}
    with toy.command("--build-cache", cache, "--fresh", environment=host) as command:
        assert command.end() == 0, command.stderr
    stored = read_run((toy.work_dir / "runs/latest").resolve())
    assert outcomes_of(stored) == {"plain": PASSED}
    return stored, command


def lines_of(stored: StoredRun, log: str, words: Sequence[str]) -> list[str]:
    """Return the lines of a build's log that contain one of these words."""
    (path,) = (stored.folder / "logs").glob(log)
    return [line for line in path.read_text().splitlines() if any(word in line for word in words)]


def test_empty_engine_builds_from_the_cache(toy: Toy, containerd_engine: OwnEngine) -> None:
    toy.write(PASSING, precompile=new_image())
    cache = f"type=local,dest={toy.folder}/cache"

    stored, command = run_with(toy, cache, containerd_engine)

    assert "--build-cache" not in command.stderr
    assert lines_of(stored, "image-*.log", ["exporting cache to client"])
    assert lines_of(stored, "image-*.log", ["Installed"])
    (cell,) = stored.results.values()
    assert cell.image is not None
    containerd_engine.docker("image", "rm", "--force", cell.image.id)
    containerd_engine.docker("buildx", "prune", "--builder=default", "--all", "--force")

    stored, _ = run_with(toy, cache, containerd_engine)

    for log in ("nvidia-*.log", "torch-*.log", "image-*.log"):
        assert lines_of(stored, log, ["importing cache manifest from local"])
        assert lines_of(stored, log, ["CACHED"])
        assert not lines_of(stored, log, ["Installed", "Collecting"])  # uv and pip did not run


def test_engine_without_export_is_reported_once(toy: Toy) -> None:
    toy.write(PASSING, precompile=new_image())

    _, command = run_with(toy, f"type=local,dest={toy.folder}/cache")

    assert command.stderr.count("--build-cache is not used") == 1
    assert "containerd-snapshotter" in command.stderr
    assert not (toy.folder / "cache").exists()
    toy.ended(toy.latest(), 0)
