"""An engine that is not this machine's: by TCP with certificates, and by ssh."""

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
    "lies": {"environment": {"TOY_LIE": "python"}},
}
FAILED = CellOutcome.FAILED
OUTCOMES = {
    "plain": PASSED,
    "fails": (FAILED, Reason.CHECKS),
    "hungry": (FAILED, Reason.OOM),
    "lies": (FAILED, Reason.NOT_AS_DECLARED),
}


@dataclass(frozen=True, kw_only=True)
class Remote:
    """An engine that asks for certificates, and several folders of them."""

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
    folder = tmp_path_factory.mktemp("far")  # short: sockets lie in it
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


def nothing_is_here(ran: Ran) -> None:
    """Make sure that the usual engine has seen nothing of a run."""
    assert started_containers(ran.run) == 0
    standing = docker("images", "--no-trunc", "--quiet").split()
    for cell in ran.cells.values():
        assert cell.image is not None
        assert cell.image.id not in standing


def run_there(toy: Toy, remote: Remote, **environment: str) -> Ran:
    """Run the toy's matrix on the other engine; nothing may be left of it there either."""
    with toy.command("--fresh", environment=environment) as command:
        code = command.process.wait(3 * TIMEOUT_SECONDS)  # all is assembled there first
    assert code in {0, 1}, command.stderr
    assert "Traceback" not in command.stderr
    assert resources_of(toy.latest(), remote.engine.host) == []
    left = toy.leftovers(toy.latest())
    assert left == [], left
    ran = Ran(stored=read_run(toy.work_dir / "runs" / toy.latest()), exit_code=code)
    nothing_is_here(ran)
    return ran


def refused(toy: Toy, *arguments: str, **environment: str) -> list[str]:
    """Return what is told where nothing is run."""
    toy.write(PASSING)
    with toy.command(*arguments, environment=environment) as command:
        assert command.end() == 3
    assert "Traceback" not in command.stderr
    assert not toy.work_dir.exists()
    assert list(toy.temporary.iterdir()) == []
    return command.stderr.splitlines()


def test_a_whole_matrix_runs_on_an_engine_with_certificates(
    toy_elsewhere: Toy, remote: Remote
) -> None:
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

    # Once more: the image stands there; what another machine's run has there is left alone, and
    # what a run of this machine left is swept.
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
    standing = remote.engine.docker("container", "ls", "--all", "--quiet", "--no-trunc").split()
    assert of_others in standing
    assert dead not in standing
    remote.engine.docker("container", "rm", of_others)


def test_a_context_brings_its_certificates(
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
    ("certificates", "told", "advice"),
    [
        ("foreign", "its certificate is not accepted", "It must be signed by ca.pem"),
        ("stranger", "does not accept this client's certificate", "must be signed by"),
        ("nothing", "Cannot verify the engine's certificate", "DOCKER_CERT_PATH names the folder"),
    ],
)
def test_certificates_that_are_not_accepted_are_told(
    toy_elsewhere: Toy, remote: Remote, certificates: str, told: str, advice: str
) -> None:
    first, second = refused(toy_elsewhere, **remote.environment(certificates))
    assert told in first
    assert advice in second
    assert str(remote.folder / certificates) in first + second


def test_an_engine_that_wants_certificates_says_so(toy_elsewhere: Toy, remote: Remote) -> None:
    first, second = refused(
        toy_elsewhere, "--install-engine", DOCKER_HOST=remote.host, DOCKER_TLS_VERIFY=""
    )[1:]
    assert first.startswith(f"No container engine answers at {remote.host}: it requires TLS")
    assert second.startswith("Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH")


def test_nothing_is_installed_here_for_an_engine_elsewhere(toy_elsewhere: Toy) -> None:
    host = "tcp://127.0.0.1:9"
    told = refused(toy_elsewhere, "--install-engine", DOCKER_HOST=host, DOCKER_TLS_VERIFY="")
    assert told[0] == f"--install-engine installs nothing: DOCKER_HOST names {host}"
    assert told[1].startswith(f"No container engine answers at {host}: the connection is refused")


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnSshd]:
    with own_sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


def test_a_whole_matrix_runs_on_an_engine_behind_ssh(
    toy_elsewhere: Toy, remote: Remote, sshd: OwnSshd
) -> None:
    toy = toy_elsewhere
    toy.write(CHECKS, MODES)
    address = sshd.address(f"{remote.engine.folder}/socket")

    ran = run_there(toy, remote, DOCKER_HOST=address, PATH=sshd.search_path)

    assert ran.outcomes == OUTCOMES
    assert ran.exit_code == 1
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_the_way_through_ssh_ends_even_with_a_run_that_is_killed(
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


def test_what_stands_in_the_way_of_ssh_is_told(toy_elsewhere: Toy, sshd: OwnSshd) -> None:
    by_ssh = {"PATH": sshd.search_path}

    def told(address: str) -> list[str]:
        return refused(toy_elsewhere, DOCKER_HOST=address, **by_ssh)

    here = sshd.address("/nothing/there")
    first, second = told(here)
    assert first.startswith("No container engine answers at ssh://")
    assert "open failed" in first  # what ssh says, and the SDK can't know
    assert "Start it there" in second

    sshd.configure("stranger", "known")
    first, second, third = told(here)
    assert "Permission denied" in first
    assert "ssh-copy-id" in second
    assert third == f"Try: ssh -p {sshd.port} -l {sshd.user} 127.0.0.1 docker version"

    sshd.configure("client", "unknown")
    first, second, _ = told(here)
    assert "Host key verification failed" in first
    assert "ssh does not know the host's key" in second

    first, second, _ = told(sshd.address("", host="nobody.invalid"))
    assert "Could not resolve hostname nobody.invalid" in first
    assert "Check the host name" in second
