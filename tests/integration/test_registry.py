"""Images shared between two engines through a real registry."""

import json
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGINT
from threading import Event, Thread

import pytest
from engine_state import docker, processes_with, resources_of
from listeners import RecordingListener
from own_engine import OwnEngine, Uplink, connected_engine
from own_registry import PASSWORD, USER, OwnRegistry, own_registry, remove_images
from toy import PASSED, PASSING, Ran, Toy, new_image, outcomes_of

from matrixci.model import ImageRecord
from matrixci.runs.folder import read_run


@pytest.fixture
def registry(tmp_path: Path, engine: None) -> Iterator[OwnRegistry]:  # noqa: ARG001
    with own_registry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def second(
    tmp_path_factory: pytest.TempPathFactory,
    engine: None,  # noqa: ARG001
) -> Iterator[OwnEngine]:
    """Return an empty engine of another machine."""
    folder = tmp_path_factory.mktemp("second")  # a short path, for the sockets
    with connected_engine(folder, "--insecure-registry=0.0.0.0/0") as own:
        yield own


def image_of(ran: Ran) -> ImageRecord:
    image = ran.cells["plain"].image
    assert image is not None
    return image


def layers(image: str, *engine: str) -> list[str]:
    form = "{{json .RootFS.Layers}}"
    found: list[str] = json.loads(docker(*engine, "image", "inspect", "--format", form, image))
    return found


def run_elsewhere(toy: Toy, engine: OwnEngine, registry: str) -> Ran:
    """Run the toy's matrix on another machine, with an empty work directory."""
    work_dir = toy.folder / f"work-dir-{secrets.token_hex(4)}"
    with toy.command("--registry", registry, work_dir=work_dir, DOCKER_HOST=engine.host) as command:
        assert command.end() == 0, command.stderr
    stored = read_run((work_dir / "runs/latest").resolve())
    assert outcomes_of(stored) == {"plain": PASSED}
    assert resources_of(stored.run.id, engine.host) == []
    return Ran(stored=stored, exit_code=0)


def test_image_built_on_one_machine_is_pulled_on_another(
    toy: Toy, registry: OwnRegistry, second: OwnEngine
) -> None:
    assert isinstance(second.network, Uplink)
    repository = registry.repository(second.network.gateway)
    precompile = new_image()

    built = image_of(toy.run(PASSING, registry=registry.repository(), precompile=precompile))

    assert (built.reused, built.pulled) == (False, None)
    assert [len(registry.tags(kind)) for kind in ("cell", "system", "python")] == [1, 1, 1]
    assert [tag.split("-")[1] for tag in registry.tags("stage")] == ["nvidia", "torch"]

    ran = run_elsewhere(toy, second, repository)

    pulled = image_of(ran)
    (tag,) = registry.tags("cell")
    lock = ran.cells["plain"].lock
    assert lock is not None
    assert tag.startswith(f"cell-{lock.digest[:12]}-")
    assert (pulled.reused, pulled.pulled, pulled.log) == (False, f"{repository}:{tag}", None)
    same = {"pulled": None, "log": None}
    assert pulled.model_copy(update=same) == built.model_copy(update=same)
    # Nothing was built: the engine's build cache is still empty.
    assert second.docker("buildx", "du", "--builder=default").split()[-2:] == ["Total:", "0B"]
    logs = [path.stem for path in (ran.stored.folder / "logs").iterdir()]
    assert logs == list(ran.stored.results)

    # Another image, on an empty engine again: the stages that it shares are pulled.
    second.docker("image", "rm", "--force", *second.docker("image", "ls", "--quiet").split())
    toy.write(PASSING, precompile=new_image())
    ran = run_elsewhere(toy, second, repository)

    other = image_of(ran)
    assert (other.reused, other.pulled) == (False, None)
    (log,) = (ran.stored.folder / "logs").glob("torch-*.log")
    assert "pulling sha256:" in log.read_text()
    shared = layers(other.tag, "--host", second.host)[:-2]  # without the steps of the cell itself
    assert len(shared) == 4
    assert shared == layers(built.tag)[:-2]
    assert len(registry.tags("cell")) == 2


def test_unreachable_registry_is_reported_once_and_the_run_continues(toy: Toy) -> None:
    listener = RecordingListener()
    modes = {"plain": {}, "other": {"requires": "iniconfig<99"}}

    ran = toy.run(
        PASSING, modes, listener=listener, registry="127.0.0.1:9/nothing", precompile=new_image()
    )

    assert ran.outcomes == {"plain": PASSED, "other": PASSED}
    assert image_of(ran).pulled is None
    pulls, pushes = sorted(line for line in listener.remarks if line.startswith("cannot pu"))
    refused = "127.0.0.1:9: connect: connection refused"
    assert pulls.startswith("cannot pull from 127.0.0.1:9/nothing, building images here: ")
    assert pulls.endswith(refused)
    assert pushes.startswith("cannot push to 127.0.0.1:9/nothing: ")
    assert pushes.endswith(refused)
    assert docker("images", "--quiet", "127.0.0.1:9/nothing") == ""


def test_credentials_of_the_docker_command_are_used(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_registry(tmp_path / "registry", closed=True) as registry:
        repository = registry.repository()
        host = repository.partition("/")[0]
        listener = RecordingListener()
        assert toy.run(PASSING, listener=listener, registry=repository).exit_code == 0
        hints = [line for line in listener.remarks if f"(docker login {host})" in line]
        assert [line.split(repository)[0] for line in hints] == [
            "cannot pull from ",
            "cannot push to ",
        ]
        assert registry.tags("cell") == []

        config = tmp_path / "config"
        config.mkdir()
        word = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {host: {"auth": word}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(config))
        assert toy.run(PASSING, registry=repository, fresh=True).exit_code == 0
        assert len(registry.tags("cell")) == 1
        files = [
            path.read_text(errors="replace") for path in toy.work_dir.rglob("*.*") if path.is_file()
        ]
        assert not [text for text in files if PASSWORD in text or word in text]


def test_image_without_the_expected_labels_is_ignored(toy: Toy, registry: OwnRegistry) -> None:
    repository, precompile = registry.repository(), new_image()
    image = image_of(toy.run(PASSING, registry=repository, precompile=precompile))
    (tag,) = registry.tags("cell")
    docker("image", "tag", image.base, f"{repository}:{tag}")
    docker("push", "--quiet", f"{repository}:{tag}")
    docker("image", "rm", image.tag)
    listener = RecordingListener()

    ran = toy.run(PASSING, listener=listener, registry=repository, precompile=precompile)

    assert ran.outcomes == {"plain": PASSED}
    assert image_of(ran).pulled is None
    message = f"{repository}:{tag} does not carry the expected labels; ignoring it"
    assert listener.remarks.count(message) == 1
    # The image of this run has replaced it.
    docker("image", "rm", image_of(ran).tag, f"{repository}:{tag}")
    assert image_of(toy.run(PASSING, registry=repository, precompile=precompile)).pulled


class _Hanging(BaseHTTPRequestHandler):
    """A registry without images, in which a push hangs."""

    push_started = Event()

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.push_started.set()
        time.sleep(600)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_run_interrupted_during_a_push_leaves_nothing(toy: Toy) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hanging) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        repository = f"127.0.0.1:{server.server_port}/toy"
        toy.write(PASSING)
        try:
            with toy.command("--registry", repository) as command:
                command.wait_for(lambda: f"pushing images to {repository}" in command.stderr)
                assert _Hanging.push_started.wait(60)
                assert "mode-plain: ✓ passed" in command.stderr  # the push does not delay the cell
                assert command.end(SIGINT) == 130
        finally:
            server.shutdown()
            thread.join()
            remove_images(repository)

    ran = toy.ended(toy.latest(), 130)
    assert ran.outcomes == {"plain": PASSED}
    assert "Traceback" not in command.stderr
    assert processes_with("cmdline", repository) == []
