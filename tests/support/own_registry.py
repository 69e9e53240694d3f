"""A registry for a test: the real one, as packaged by Debian."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_state import docker, skip_or_fail, wait_until

USER, PASSWORD = "toyuser", "geheim-toy"
_HTPASSWD = f"{USER}:$2b$04$SIeOvACggHBJBScV39vmUOFygrT47Ouc1Q3Qh2Tj8IWyfqyIJcx6S\n"
_REPOSITORY = "matrixci-tests/toy"


class OwnRegistry:
    """A registry that stores images in a folder and listens on all addresses of this machine."""

    def __init__(self, folder: Path, *, closed: bool) -> None:
        self.folder = folder
        folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("", 0))
            self.port = probe.getsockname()[1]
        (folder / "htpasswd").write_text(_HTPASSWD)
        auth = f"auth: {{htpasswd: {{realm: toys, path: {folder}/htpasswd}}}}" if closed else ""
        (folder / "config.yml").write_text(
            f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "0.0.0.0:{self.port}"}}
{auth}
"""
        )

    def repository(self, address: str = "127.0.0.1") -> str:
        """Return the repository for an engine that reaches this machine at an address."""
        return f"{address}:{self.port}/{_REPOSITORY}"

    def tags(self, kind: str) -> list[str]:
        """Return the stored tags of a kind."""
        tags = self.folder / f"data/docker/registry/v2/repositories/{_REPOSITORY}/_manifests/tags"
        return sorted(path.name for path in tags.glob(f"{kind}-*/"))

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


@contextmanager
def own_registry(folder: Path, *, closed: bool = False) -> Iterator[OwnRegistry]:
    """Start a registry, and remove it and its images from the shared engine at the end."""
    program = shutil.which("docker-registry")
    if program is None:
        skip_or_fail("docker-registry is not installed: apt-get install docker-registry")
    registry = OwnRegistry(folder, closed=closed)
    argv = [program, "serve", str(folder / "config.yml")]
    with (
        (folder / "log").open("wb") as log,
        # An empty environment, since processes of a run are recognised by TMPDIR.
        subprocess.Popen(argv, stdout=log, stderr=log, env={}) as process,
    ):
        try:
            assert wait_until(registry.answers), (folder / "log").read_text()
            yield registry
        finally:
            process.terminate()
            process.wait()
            remove_images(registry.repository())


def remove_images(repository: str) -> None:
    """Remove the images of a repository from the shared engine."""
    form = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    listed = docker("images", "--digests", "--format", form, repository).splitlines()
    for by_tag, by_digest in map(str.split, listed):
        docker("image", "rm", by_digest if by_tag.endswith(":<none>") else by_tag)
