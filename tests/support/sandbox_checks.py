"""Checks for test_sandbox.py, which test the sandbox from inside a container."""

import errno
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

STATUS = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
TEMPORARY = "/tmp"  # noqa: S108
# Set by the container, the cell, pytest and the interpreter.
ENVIRONMENT = {
    *("HOME", "HOSTNAME", "LC_CTYPE", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
    *("PYTEST_CURRENT_TEST", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_VERSION", "TMPDIR"),
    "OF_THE_CELL",
}


def test_only_the_loopback_interface_exists() -> None:
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


@pytest.mark.parametrize("address", ["1.1.1.1", "169.254.169.254", "172.17.0.1"])
def test_outgoing_connections_fail(address: str) -> None:
    with pytest.raises(OSError, match="unreachable") as caught:
        socket.create_connection((address, 80), timeout=5)
    assert caught.value.errno == errno.ENETUNREACH


def test_names_are_not_resolved() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 443)


def test_user_is_not_root() -> None:
    assert STATUS["Uid"].split() == STATUS["Gid"].split() == ["65532"] * 4
    assert set(STATUS["Groups"].split()) <= {"65532"}


@pytest.mark.parametrize("kind", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_process_has_no_capabilities(kind: str) -> None:
    assert int(STATUS[kind], 16) == 0


def test_process_cannot_gain_privileges() -> None:
    assert STATUS["NoNewPrivs"].split() == ["1"]


def test_system_calls_are_filtered() -> None:
    assert STATUS["Seccomp"].split() == ["2"]


@pytest.mark.parametrize("place", ["/", "/etc", "/run", "/usr/local/bin", "/var"])
def test_root_file_system_is_not_writable(place: str) -> None:
    with pytest.raises(OSError, match=r"Read-only|Permission denied"):
        Path(place, "written").touch()


def test_root_file_system_is_mounted_read_only() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    assert [options.split(",")[0] for _, at, _, options, *_ in mounts if at == "/"] == ["ro"]


@pytest.mark.parametrize(
    "name", ["cell.json", "checks/checks/test_sandbox_checks.py", "harness/protocol.py"]
)
def test_inputs_are_not_writable(name: str) -> None:
    given = Path("/matrixci", name)
    assert given.read_text()
    with pytest.raises(PermissionError):
        given.write_text("")
    with pytest.raises(PermissionError):
        given.unlink()


@pytest.mark.parametrize("place", [TEMPORARY, os.environ["TMPDIR"], str(Path.cwd())])
def test_temporary_folder_is_writable_and_executable(place: str) -> None:
    script = Path(place, "script")
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o700)
    assert subprocess.run([script], check=False).returncode == 7


def test_temporary_folder_has_a_size_limit() -> None:
    big = Path(TEMPORARY, "big")
    try:
        with pytest.raises(OSError, match="No space left"):
            big.write_bytes(bytes(65 * 2**20))
    finally:
        big.unlink()


def test_number_of_processes_is_limited() -> None:
    stop = threading.Event()

    def start_as_many_as_the_limit() -> None:
        for _ in range(128):
            threading.Thread(target=stop.wait).start()

    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            start_as_many_as_the_limit()
    finally:
        stop.set()


def test_init_process_runs_the_checks() -> None:
    assert "init" in Path("/proc/1/comm").read_text()


def test_environment_has_no_variables_of_the_host() -> None:
    assert set(os.environ) <= ENVIRONMENT
    assert os.environ["OF_THE_CELL"] == "1"


def test_engine_socket_is_not_mounted() -> None:
    assert not Path("/var/run/docker.sock").exists()
