"""A remote engine, reached by TCP with certificates and by ssh."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import pytest
from certificates import Authority
from engine_state import (
    TIMEOUT_SECONDS,
    docker,
    processes_with,
    resources_of,
    running_containers,
    started_containers,
    wait_until,
)
from own_engine import OwnEngine, Uplink, connected_engine
from own_sshd import OwnSshd, own_sshd
from toy import PASSED, PASSING, Ran, Toy

from matrixci.model import CellOutcome, Reason
from matrixci.runs.folder import read_run

CHECKS = {
    "test_toy.py": """
        import os, socket
        import pytest, toysubject

        MODE = os.environ.get("MODE")

        def test_answers():
            assert toysubject.ANSWER == 42
            assert MODE != "fails"

        def test_memory():
            if MODE == "hungry":
                bytearray(2**30)

        def test_no_network():
            with pytest.raises(OSError):
                socket.create_connection(("192.0.2.1", 80), timeout=5)
        """
}
MODES = {
    "plain": {},
    "fails": {"environment": {"MODE": "fails"}},
    "hungry": {"environment": {"MODE": "hungry"}},
    "lying": {"environment": {"TOY_LIE": "python"}},
}
FAILED = CellOutcome.FAILED
OUTCOMES = {
    "plain": PASSED,
    "fails": (FAILED, Reason.CHECKS),
    "hungry": (FAILED, Reason.OOM),
    "lying": (FAILED, Reason.NOT_AS_DECLARED),
}


@dataclass(frozen=True, kw_only=True)
class Remote:
    """An engine that requires certificates, and several folders of certificates."""

    engine: OwnEngine
    folder: Path

    @property
    def host(self) -> str:
        assert isinstance(self.engine.network, Uplink)
        return f"tcp://{self.engine.network.address}:2376"

    def environment(self, certificates: str = "client") -> dict[str, str]:
        path = str(self.folder / certificates)
        return {"DOCKER_HOST": self.host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": path}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, engine: None) -> Iterator[Remote]:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("far")  # a short path, for the sockets
    authority, other = Authority(folder / "authority"), Authority(folder / "other")
    other.sign(folder / "foreign", "clientAuth", "DNS:foreign")
    authority.sign(folder / "client", "clientAuth", "DNS:client")
    stranger = other.sign(folder / "stranger", "clientAuth", "DNS:stranger")
    (stranger / "ca.pem").write_bytes((folder / "client/ca.pem").read_bytes())

    def listening(address: str) -> list[str]:
        server = authority.sign(folder / "server", "serverAuth", f"IP:{address}")
        tls = [f"--tls{name}={server}/{name.removeprefix('ca')}.pem" for name in ("cert", "key")]
        ca = f"--tlscacert={server}/ca.pem"
        return [f"--host=tcp://{address}:2376", "--tlsverify", ca, *tls]

    with connected_engine(folder, listening=listening) as own:
        yield Remote(engine=own, folder=folder)


def assert_local_engine_unused(ran: Ran) -> None:
    """Check that a run did not use the local engine."""
    assert started_containers(ran.run) == 0
    existing = docker("images", "--no-trunc", "--quiet").split()
    for cell in ran.cells.values():
        assert cell.image is not None
        assert cell.image.id not in existing


def run_there(toy: Toy, remote: Remote, **environment: str) -> Ran:
    """Run the toy's matrix on the remote engine, and check that nothing is left there."""
    with toy.command("--fresh", environment=environment) as command:
        code = command.process.wait(3 * TIMEOUT_SECONDS)  # base images are assembled first
    assert code in {0, 1}, command.stderr
    assert "Traceback" not in command.stderr
    assert resources_of(toy.latest(), remote.engine.host) == []
    left = toy.leftovers(toy.latest())
    assert left == [], left
    ran = Ran(stored=read_run(toy.work_dir / "runs" / toy.latest()), exit_code=code)
    assert_local_engine_unused(ran)
    return ran


def refused(toy: Toy, *arguments: str, **environment: str) -> list[str]:
    """Return the lines of the error message of a refused run."""
    toy.write(PASSING)
    with toy.command(*arguments, environment=environment) as command:
        assert command.end() == 3
    assert "Traceback" not in command.stderr
    assert not toy.work_dir.exists()
    assert list(toy.temporary.iterdir()) == []
    return command.stderr.splitlines()


def test_matrix_runs_on_an_engine_with_certificates(toy_elsewhere: Toy, remote: Remote) -> None:
    toy = toy_elsewhere
    left = ["container", "create", "--label", "org.matrixci=cell"]
    toy.write(CHECKS, MODES)

    ran = run_there(toy, remote, **remote.environment())

    assert ran.exit_code == 1
    assert ran.outcomes == OUTCOMES
    assert {check.outcome for check in ran.cells["plain"].checks} == {"passed"}
    assert ran.stored.run.engine is not None
    image = ran.cells["plain"].image
    assert image is not None
    assert "org.matrixci" in remote.engine.docker("image", "inspect", image.tag)

    # Again, with the image in place: a container of another machine is left alone, and a leftover
    # of this machine is removed.
    foreign = f"{left[-1]}"
    of_others = remote.engine.docker(
        *left[:-1], foreign, "--label", "org.matrixci.owner=elsewhere/boot/7/7", image.tag, "true"
    ).strip()
    ours = f"{os.uname().nodename}/{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    dead = remote.engine.docker(
        *left[:-1], foreign, "--label", f"org.matrixci.owner={ours}/7/never", image.tag, "true"
    ).strip()
    again = run_there(toy, remote, **remote.environment())
    assert again.outcomes == OUTCOMES
    assert again.cells["plain"].image == image.model_copy(update={"reused": True, "log": None})
    existing = remote.engine.docker("container", "ls", "--all", "--quiet", "--no-trunc").split()
    assert of_others in existing
    assert dead not in existing
    remote.engine.docker("container", "rm", of_others)


def test_context_provides_its_certificates(
    toy_elsewhere: Toy, remote: Remote, tmp_path: Path
) -> None:
    toy, config = toy_elsewhere, tmp_path / "config"
    config.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    environment["DOCKER_CONFIG"] = str(config)
    client = remote.folder / "client"
    files = ",".join(f"{name}={client}/{name}.pem" for name in ("ca", "cert", "key"))
    argv = ["docker", "context", "create", "far", f"--docker=host={remote.host},{files}"]
    subprocess.run(argv, env=environment, check=True, capture_output=True)
    toy.write(PASSING)

    by_name = {"DOCKER_CONFIG": str(config), "DOCKER_CONTEXT": "far", "DOCKER_HOST": ""}
    assert run_there(toy, remote, **by_name).outcomes == {"plain": PASSED}
    (config / "config.json").write_text(json.dumps({"currentContext": "far"}))
    by_choice = {"DOCKER_CONFIG": str(config), "DOCKER_HOST": ""}
    assert run_there(toy, remote, **by_choice).outcomes == {"plain": PASSED}


@pytest.mark.parametrize(
    ("certificates", "problem", "advice"),
    [
        ("foreign", "its certificate is not accepted", "It must be signed by ca.pem"),
        ("stranger", "does not accept this client's certificate", "must be signed by"),
        ("nothing", "Cannot verify the engine's certificate", "DOCKER_CERT_PATH names the folder"),
    ],
)
def test_rejected_certificate_is_reported(
    toy_elsewhere: Toy, remote: Remote, certificates: str, problem: str, advice: str
) -> None:
    first, second = refused(toy_elsewhere, **remote.environment(certificates))
    assert problem in first
    assert advice in second
    assert str(remote.folder / certificates) in first + second


def test_engine_that_requires_certificates_is_reported(toy_elsewhere: Toy, remote: Remote) -> None:
    first, second = refused(
        toy_elsewhere, "--install-engine", DOCKER_HOST=remote.host, DOCKER_TLS_VERIFY=""
    )[1:]
    assert first.startswith(f"No container engine answers at {remote.host}: it requires TLS")
    assert second.startswith("Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH")


def test_nothing_is_installed_for_a_remote_engine(toy_elsewhere: Toy) -> None:
    host = "tcp://127.0.0.1:9"
    message = refused(toy_elsewhere, "--install-engine", DOCKER_HOST=host, DOCKER_TLS_VERIFY="")
    assert message[0] == f"--install-engine has no effect: DOCKER_HOST names {host}"
    assert message[1].startswith(
        f"No container engine answers at {host}: the connection is refused"
    )


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnSshd]:
    with own_sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


def test_matrix_runs_on_an_engine_behind_ssh(
    toy_elsewhere: Toy, remote: Remote, sshd: OwnSshd
) -> None:
    toy = toy_elsewhere
    toy.write(CHECKS, MODES)
    address = sshd.address(f"{remote.engine.folder}/socket")

    ran = run_there(toy, remote, DOCKER_HOST=address, PATH=sshd.search_path)

    assert ran.outcomes == OUTCOMES
    assert ran.exit_code == 1
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_ssh_tunnel_ends_with_a_killed_run(
    toy_elsewhere: Toy, remote: Remote, sshd: OwnSshd
) -> None:
    toy = toy_elsewhere
    toy.write({"test_toy.py": "import time\ndef test_blocks():\n    time.sleep(600)\n"})
    address = sshd.address(f"{remote.engine.folder}/socket")
    with toy.command(DOCKER_HOST=address, PATH=sshd.search_path) as command:
        command.wait_for(lambda: "running checks" in command.stderr)
        assert command.end(SIGKILL) == -SIGKILL
    assert wait_until(lambda: not processes_with("cmdline", f"{sshd.folder}/ssh_config"))
    for container in running_containers(toy.latest(), remote.engine.host):
        remote.engine.docker("container", "rm", "--force", "--volumes", container)


def test_ssh_failures_are_reported(toy_elsewhere: Toy, sshd: OwnSshd) -> None:
    by_ssh = {"PATH": sshd.search_path}

    def message(address: str) -> list[str]:
        return refused(toy_elsewhere, DOCKER_HOST=address, **by_ssh)

    here = sshd.address("/nothing/there")
    first, second = message(here)
    assert first.startswith("No container engine answers at ssh://")
    assert "open failed" in first  # from ssh, unknown to the SDK
    assert "Start it there" in second

    sshd.configure("stranger", "known")
    first, second, third = message(here)
    assert "Permission denied" in first
    assert "ssh-copy-id" in second
    assert third == f"Try: ssh -p {sshd.port} -l {sshd.user} 127.0.0.1 docker version"

    sshd.configure("client", "unknown")
    first, second, _ = message(here)
    assert "Host key verification failed" in first
    assert "ssh does not know the host's key" in second

    first, second, _ = message(sshd.address("", host="nobody.invalid"))
    assert "Could not resolve hostname nobody.invalid" in first
    assert "Check the host name" in second
