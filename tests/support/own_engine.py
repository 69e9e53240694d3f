"""Container engines started by a test, which may be killed."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from engine_state import TIMEOUT_SECONDS, docker, skip_or_fail, wait_until
from own_network import OwnNetwork, own_network

_NAME = "{{.Repository}}:{{.Tag}}"


class Uplink:
    """A network namespace attached to the bridge of the shared engine."""

    def __init__(self) -> None:
        form = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
        form += ' {{index .Options "com.docker.network.bridge.name"}}'
        self.gateway, subnet, bridge = docker(
            "network", "inspect", "bridge", "--format", form
        ).split()
        network = IPv4Network(subnet)
        # In the upper half of the subnet, since the engine assigns addresses from the lower end.
        self.address = str(network[-2 - secrets.randbelow(network.num_addresses // 2)])
        self.mtu = Path(f"/sys/class/net/{bridge}/mtu").read_text().strip()
        self.name = f"mci-{secrets.token_hex(4)}"
        self.subnet = subnet
        inside = ["-n", self.name]
        mtu = ["mtu", self.mtu]
        peer = ["peer", "name", "eth0", *mtu, "netns", self.name]
        for arguments in (
            ["netns", "add", self.name],
            [*inside, "link", "set", "lo", "up"],
            ["link", "add", self.name, *mtu, "type", "veth", *peer],
            ["link", "set", self.name, "master", bridge, "up"],
            [*inside, "address", "add", f"{self.address}/{network.prefixlen}", "dev", "eth0"],
            [*inside, "link", "set", "eth0", "up"],
            [*inside, "route", "add", "default", "via", self.gateway],
        ):
            subprocess.run(["ip", *arguments], check=True)

    @property
    def daemon(self) -> list[str]:
        """The command that starts dockerd in it, without its options."""
        enter = ["nsenter", f"--net=/run/netns/{self.name}"]
        return [*enter, "dockerd", "--bip=192.0.2.1/24", f"--mtu={self.mtu}"]

    def clear(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


class NoLimits:
    """A mount namespace without the control groups for memory, processes and CPUs."""

    GROUPS = ("memory", "pids", "cpu")

    @property
    def daemon(self) -> list[str]:
        """The command that starts dockerd in it, without its options."""
        unmount = "".join(f"umount /sys/fs/cgroup/{group} && " for group in self.GROUPS)
        apart = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        # A separate network: otherwise this engine would remove the bridge of the shared one.
        return [
            "unshare",
            "--mount",
            "--net",
            "sh",
            "-c",
            f'{unmount}exec dockerd "$@"',
            "sh",
            *apart,
        ]


class OwnEngine:
    """A dockerd with its own data, containerd, network, bridge and firewall rules."""

    def __init__(
        self,
        folder: Path,
        network: Uplink | OwnNetwork | NoLimits,
        settings: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.network = network
        self.settings = settings
        self.host = f"unix://{folder}/socket"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the engine unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        argv = [*self.network.daemon]
        argv += [*self.settings, f"--host={self.host}", f"--data-root={self.folder}/data"]
        argv += [f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            # Without TMPDIR, which marks the processes of a run.
            environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
            self._process = subprocess.Popen(
                argv, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        if not wait_until(self._has_answered):
            pytest.skip(f"cannot start an engine for the test: {self._end_of_log()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the engine and wait until it has ended."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(TIMEOUT_SECONDS)

    def docker(self, *arguments: str) -> str:
        argv = ["docker", "--host", self.host, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def copy_images(self, images: Sequence[str]) -> None:
        """Copy missing images from the shared engine."""
        present = self.docker("image", "ls", "--format", _NAME).split()
        images = [image for image in images if image not in present]
        if not images:
            return
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            argv = ["docker", "--host", self.host, "load", "--quiet"]
            subprocess.run(argv, stdin=saving.stdout, check=True, stdout=subprocess.DEVNULL)
        assert saving.returncode == 0

    def remove_all_but(self, images: Sequence[str]) -> None:
        for image in self.docker("image", "ls", "--format", _NAME).split():
            if image not in images:
                self.docker("image", "rm", "--force", image)

    def clear(self) -> None:
        """Stop the engine and everything it started, such as a containerd that survived it."""
        with suppress(AssertionError):
            for container in self.docker("container", "ls", "--all", "--quiet").split():
                self.docker("container", "rm", "--force", "--volumes", container)
        if self._process is not None and self._process.poll() is None:
            self.end()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if str(self.folder).encode() in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)
        mounts = Path("/proc/mounts").read_text().splitlines()
        for mount in reversed([line.split()[1] for line in mounts]):
            if mount.startswith(str(self.folder)):
                subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _has_answered(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.skip(f"cannot start an engine for the test: {self._end_of_log()}")
        argv = ["docker", "--host", self.host, "version"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def _end_of_log(self) -> str:
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-3:])


@contextmanager
def connected_engine(
    folder: Path, *settings: str, listening: Callable[[str], Sequence[str]] = lambda _: ()
) -> Iterator[OwnEngine]:
    """Start an engine without images, whose containers have the usual network access.

    `listening` is called with the address of the engine and returns more options for it.
    """
    if os.geteuid() != 0 or not all(map(shutil.which, ("dockerd", "nsenter", "ip"))):
        skip_or_fail("an engine for the test needs dockerd, nsenter, ip and root")
    try:
        uplink = Uplink()
    except (OSError, subprocess.CalledProcessError) as error:
        skip_or_fail(f"cannot attach to the network of the shared engine: {error}")
    engine = OwnEngine(folder, uplink, [*settings, *listening(uplink.address)])
    try:
        engine.start()
        yield engine
    finally:
        engine.clear()
        uplink.clear()


class DisconnectedEngine(OwnEngine):
    """An engine whose network reaches only a proxy."""

    def __init__(self, folder: Path, network: OwnNetwork) -> None:
        super().__init__(folder, network)
        self.proxy = network.proxy

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a command use this engine and its proxy."""
        return {"DOCKER_HOST": self.host, **self.proxy.environment}


@contextmanager
def own_engine(folder: Path, images: Sequence[str]) -> Iterator[DisconnectedEngine]:
    """Start an engine with these images, and remove it at the end of the context."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("dockerd", "nsenter", "ip"))):
        skip_or_fail("an engine for the test needs dockerd, nsenter, ip and root")
    with ExitStack() as stack:
        try:
            network = stack.enter_context(own_network())
        except OSError as error:
            skip_or_fail(f"cannot create a network for the test: {error}")
        engine = DisconnectedEngine(folder, network)
        stack.callback(engine.clear)
        engine.start()
        engine.copy_images(images)
        yield engine


@contextmanager
def unlimited_engine(folder: Path, images: Sequence[str]) -> Iterator[OwnEngine]:
    """Start an engine with these images that cannot enforce limits and has no network."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("dockerd", "unshare"))):
        skip_or_fail("an engine for the test needs dockerd, unshare and root")
    mounts = Path("/proc/mounts").read_text()
    if not all(f" /sys/fs/cgroup/{group} cgroup " in mounts for group in NoLimits.GROUPS):
        pytest.skip("needs control groups of version 1")
    engine = OwnEngine(folder, NoLimits())
    try:
        engine.start()
        engine.copy_images(images)
        yield engine
    finally:
        engine.clear()
