"""The checks of test_sandbox.py: what a check can and can't do, tried inside a container."""

import errno
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

STATUS = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
SCRATCH = "/tmp"  # noqa: S108
# What the container is given, what its cell adds, and what pytest and the interpreter set.
ENVIRONMENT = {
    *("HOME", "HOSTNAME", "LC_CTYPE", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
    *("PYTEST_CURRENT_TEST", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_VERSION", "TMPDIR"),
    "OF_THE_CELL",
}


def test_no_network_is_there_but_loopback() -> None:
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


@pytest.mark.parametrize("address", ["1.1.1.1", "169.254.169.254", "172.17.0.1"])
def test_no_connection_goes_out(address: str) -> None:
    with pytest.raises(OSError, match="unreachable") as caught:
        socket.create_connection((address, 80), timeout=5)
    assert caught.value.errno == errno.ENETUNREACH


def test_no_name_is_resolved() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 443)


def test_the_user_is_not_root() -> None:
    assert STATUS["Uid"].split() == STATUS["Gid"].split() == ["65532"] * 4
    assert set(STATUS["Groups"].split()) <= {"65532"}


@pytest.mark.parametrize("kind", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_there_are_no_capabilities(kind: str) -> None:
    assert int(STATUS[kind], 16) == 0


def test_no_privileges_can_be_had_anew() -> None:
    assert STATUS["NoNewPrivs"].split() == ["1"]


def test_system_calls_are_filtered() -> None:
    assert STATUS["Seccomp"].split() == ["2"]


@pytest.mark.parametrize("place", ["/", "/etc", "/run", "/usr/local/bin", "/var"])
def test_the_root_can_not_be_written(place: str) -> None:
    with pytest.raises(OSError, match=r"Read-only|Permission denied"):
        Path(place, "written").touch()


def test_the_root_is_mounted_read_only() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    assert [options.split(",")[0] for _, at, _, options, *_ in mounts if at == "/"] == ["ro"]


@pytest.mark.parametrize(
    "name", ["cell.json", "checks/checks/test_inside.py", "harness/protocol.py"]
)
def test_what_it_was_given_can_not_be_changed(name: str) -> None:
    given = Path("/matrixci", name)
    assert given.read_text()
    with pytest.raises(PermissionError):
        given.write_text("")
    with pytest.raises(PermissionError):
        given.unlink()


@pytest.mark.parametrize("place", [SCRATCH, os.environ["TMPDIR"], str(Path.cwd())])
def test_the_scratch_can_be_written_and_run_from(place: str) -> None:
    script = Path(place, "script")
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o700)
    assert subprocess.run([script], check=False).returncode == 7


def test_the_scratch_has_an_end() -> None:
    big = Path(SCRATCH, "big")
    try:
        with pytest.raises(OSError, match="No space left"):
            big.write_bytes(bytes(65 * 2**20))
    finally:
        big.unlink()


def test_processes_have_an_end() -> None:
    stop = threading.Event()

    def start_as_many_as_the_limit() -> None:
        for _ in range(128):
            threading.Thread(target=stop.wait).start()

    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            start_as_many_as_the_limit()
    finally:
        stop.set()


def test_an_init_is_above_the_checks() -> None:
    assert "init" in Path("/proc/1/comm").read_text()


def test_nothing_of_the_host_is_in_the_environment() -> None:
    assert set(os.environ) <= ENVIRONMENT
    assert os.environ["OF_THE_CELL"] == "1"


def test_the_engine_is_out_of_reach() -> None:
    assert not Path("/var/run/docker.sock").exists()
