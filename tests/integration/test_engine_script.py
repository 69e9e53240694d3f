"""docker/engine.sh with a second dockerd that has its own paths and bridge."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "engine.sh"
MISSING = [name for name in ("docker", "dockerd", "containerd", "ip") if not shutil.which(name)]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="starting a dockerd needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Paths of a second engine. Sockets are in `work_dir`: a path has at most 107 bytes."""

    work_dir: Path
    data: Path
    bridge: str

    @property
    def socket(self) -> Path:
        return self.work_dir / "sock"

    @property
    def pidfile(self) -> Path:
        return self.work_dir / "pid"

    @property
    def marker(self) -> Path:
        return self.work_dir / "pid.matrixci"

    @property
    def log(self) -> Path:
        return self.work_dir / "log"

    @property
    def containerd(self) -> Path:
        return self.work_dir / "exec" / "containerd"

    @property
    def pid(self) -> int:
        return int(self.pidfile.read_text())

    def command(self, subcommand: str) -> list[str]:
        return [str(SCRIPT), subcommand]

    def environment(self, **changes: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
        return {
            **inherited,
            "MATRIXCI_ENGINE_DATA_ROOT": str(self.data),
            "MATRIXCI_ENGINE_EXEC_ROOT": str(self.work_dir / "exec"),
            "MATRIXCI_ENGINE_PIDFILE": str(self.pidfile),
            "MATRIXCI_ENGINE_SOCKET": str(self.socket),
            "MATRIXCI_ENGINE_LOG": str(self.log),
            "MATRIXCI_ENGINE_BRIDGE": self.bridge,
            **changes,
        }

    def script(self, subcommand: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(subcommand),
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self) -> int:
        """Start the engine and return its process id."""
        done = self.script("start")
        assert done.returncode == 0, done.stderr
        return self.pid

    def answers(self) -> bool:
        argv = ["docker", "--host", f"unix://{self.socket}", "version"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def state(pid: int) -> str | None:
    """Return a process's state letter and name, such as `S dockerd`; None if it is gone."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(") ")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return f"{rest[0]} {name}"


def is_dead(pid: int) -> bool:
    found = state(pid)
    return found is None or found[0] in "ZX"


def wait_until_dead(pid: int) -> None:
    for _ in range(600):
        if is_dead(pid):
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} does not end: {state(pid)}")


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until_dead(pid)


def kill_leftovers(work_dir: Path) -> None:
    """Kill only the processes whose command line names the engine's folder."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if str(work_dir) in cmdline.read_bytes().decode(errors="replace"):
                kill(int(cmdline.parent.name))


def unmount_below(folders: list[Path]) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed(mounted):
        if any(Path(point).is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", point], check=True)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    work_dir = Path(tempfile.mkdtemp(prefix="mci-", dir="/tmp"))  # short paths, for the sockets
    bridge = work_dir.name[:15]
    second = Engine(work_dir=work_dir, data=tmp_path / "data", bridge=bridge)
    try:
        added = subprocess.run(
            ["ip", "link", "add", bridge, "type", "bridge"],
            capture_output=True,
            text=True,
            check=False,
        )
        if added.returncode:
            pytest.skip(f"cannot create a bridge: {added.stderr.strip()}")
        address = f"10.213.{os.getpid() % 256}.1/24"
        subprocess.run(["ip", "address", "add", address, "dev", bridge], check=True)
        subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
        yield second
    finally:
        second.script("stop")
        kill_leftovers(work_dir)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)
        unmount_below([work_dir, tmp_path])
        shutil.rmtree(work_dir)


def test_engine_outlives_its_caller(engine: Engine) -> None:
    pid = engine.start()

    assert engine.answers()
    assert os.getsid(pid) == pid
    status = engine.script("status")
    assert status.returncode == 0
    assert status.stdout.count("\n") == 1
    assert f"with buildx answers at unix://{engine.socket}" in status.stdout


@pytest.mark.parametrize("subcommand", ["start", "install"])
def test_suitable_engine_is_left_unchanged(engine: Engine, subcommand: str) -> None:
    pid = engine.start()

    assert engine.script(subcommand).returncode == 0

    assert engine.pid == pid
    assert not is_dead(pid)


def test_two_instances_start_one_engine(engine: Engine) -> None:
    both = [
        subprocess.Popen(
            engine.command("start"),
            env=engine.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]

    output = [process.communicate(timeout=300)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], output
    assert engine.marker.read_text().split()[0] == str(engine.pid)
    assert not is_dead(engine.pid)


def test_engine_starts_after_a_killed_one(engine: Engine) -> None:
    killed = engine.start()
    kill(killed)
    assert engine.pidfile.exists()
    assert engine.socket.exists()
    assert engine.script("status").returncode == 3

    assert engine.start() != killed

    assert engine.answers()


def test_leftover_containerd_is_ended(engine: Engine) -> None:
    kill(engine.start())
    wait_until_dead(int((engine.containerd / "containerd.pid").read_text()))
    leftover = subprocess.Popen(
        ["containerd", "--config", engine.containerd / "containerd.toml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (engine.containerd / "containerd.pid").write_text(str(leftover.pid))

    engine.start()

    assert leftover.wait(timeout=60) is not None
    assert engine.answers()


def test_pid_file_with_another_program_is_ignored(engine: Engine) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        engine.containerd.mkdir(parents=True)
        for file in (engine.pidfile, engine.containerd / "containerd.pid"):
            file.write_text(str(stranger.pid))
        engine.marker.write_text(f"{stranger.pid} 1\n")

        assert engine.script("stop").returncode == 0
        assert engine.start() != stranger.pid

        assert engine.answers()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_zombie_dockerd_counts_as_dead(engine: Engine) -> None:
    unreaped = subprocess.Popen(["dockerd", "--version"], stdout=subprocess.DEVNULL)
    wait_until_dead(unreaped.pid)
    assert state(unreaped.pid) == "Z dockerd"
    engine.pidfile.write_text(str(unreaped.pid))

    assert engine.start() != unreaped.pid

    assert engine.answers()
    unreaped.wait()


def test_unresponsive_dockerd_is_left_alone(engine: Engine) -> None:
    pid = engine.start()
    engine.socket.unlink()

    done = engine.script("start")

    assert done.returncode == 3
    assert f"dockerd runs (process {pid} of {engine.pidfile}) but does not answer" in done.stderr
    assert not is_dead(pid)


def test_stop_ends_its_own_engine(engine: Engine) -> None:
    pid = engine.start()

    assert engine.script("stop").returncode == 0

    assert is_dead(pid)
    assert not engine.marker.exists()
    assert engine.script("stop").returncode == 0


def test_stop_refuses_to_end_another_engine(engine: Engine) -> None:
    pid = engine.start()
    number, started = engine.marker.read_text().split()
    engine.marker.write_text(f"{number} {int(started) + 1}\n")

    done = engine.script("stop")

    assert done.returncode == 3
    assert "did not start" in done.stderr
    assert not is_dead(pid)
    assert engine.answers()


def test_status_of_a_missing_engine_says_what_to_do(engine: Engine) -> None:
    done = engine.script("status")

    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert f"no engine answers at unix://{engine.socket}" in done.stderr
    assert "engine.sh install" in done.stderr


@pytest.mark.parametrize("subcommand", ["start", "install"])
def test_nothing_is_started_if_docker_host_is_elsewhere(engine: Engine, subcommand: str) -> None:
    elsewhere = f"unix://{engine.work_dir}/elsewhere"

    done = engine.script(subcommand, DOCKER_HOST=elsewhere)

    assert done.returncode == 3
    assert "nothing installed or started" in done.stderr
    assert elsewhere in done.stderr
    assert not engine.log.exists()


def test_log_of_a_dockerd_that_fails_to_start_is_shown(engine: Engine) -> None:
    engine.data.write_text("a file instead of a folder")

    done = engine.script("start")

    assert done.returncode == 3
    assert "dockerd ended without answering" in done.stderr
    assert engine.log.read_text().splitlines()[-1] in done.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["start", "twice"]])
def test_invalid_arguments_show_the_usage(arguments: list[str]) -> None:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: docker/engine.sh")
