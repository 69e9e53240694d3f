"""Checks for test_faults_sandbox.py, which try to escape from the sandbox."""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.EINVAL}
MOUNTS = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def refused(result: int) -> bool:
    """Return whether a system call was refused."""
    return result == -1 and ctypes.get_errno() in REFUSED


@pytest.mark.parametrize("address", ["1.1.1.1", "172.17.0.1", "169.254.169.254", "255.255.255.255"])
def test_outgoing_datagrams_fail(address: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as out, pytest.raises(OSError) as caught:  # noqa: PT011
        out.sendto(b"x", (address, 53))
    assert caught.value.errno in {errno.ENETUNREACH, errno.EACCES, errno.EPERM}


@pytest.mark.parametrize("kind", [socket.SOCK_RAW])
def test_raw_sockets_are_refused(kind: socket.SocketKind) -> None:
    with pytest.raises(PermissionError):
        socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)


@pytest.mark.parametrize("change", ["setuid", "setgid"])
def test_user_cannot_be_changed(change: str) -> None:
    with pytest.raises(PermissionError):
        getattr(os, change)(0)


def test_setuid_programs_give_no_privileges() -> None:
    found = [
        path
        for folder in ("/bin", "/usr/bin", "/usr/sbin")
        for path in Path(folder).glob("*")
        if path.is_file() and path.stat().st_mode & 0o4000
    ]
    for path in found[:5]:
        done = subprocess.run([str(path)], capture_output=True, check=False, timeout=20, input=b"")
        assert b"uid=0" not in done.stdout
    copy = Path("/tmp/setuid")  # noqa: S108
    copy.write_bytes(Path(sys.executable).resolve().read_bytes())
    copy.chmod(0o4755)
    code = "import os; print(os.geteuid())"
    shown = subprocess.run([str(copy), "-c", code], capture_output=True, text=True, check=False)
    assert shown.stdout.strip() != "0"
    copy.unlink()


@pytest.mark.parametrize("flags", [CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS])
def test_namespaces_cannot_be_created(flags: int) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if refused(LIBC.unshare(flags)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_mounting_is_refused() -> None:
    assert refused(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None))


@pytest.mark.parametrize("path", ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"])
def test_kernel_settings_are_not_writable(path: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        Path(path).write_text("x")


@pytest.mark.parametrize("path", ["/dev/kmsg", "/dev/mem", "/dev/sda", "/dev/vda", "/dev/kvm"])
def test_host_devices_are_absent(path: str) -> None:
    assert not Path(path).exists()


def test_no_host_folder_is_mounted() -> None:
    ours = [fields[4] for fields in MOUNTS if "/volumes/" in fields[3] or fields[4] == "/matrixci"]
    assert ours == ["/matrixci"]
    by_engine = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    devices = {fields[4] for fields in MOUNTS if fields[fields.index("-") + 2].startswith("/dev/")}
    assert devices - by_engine <= {"/matrixci", "/sbin/docker-init", "/usr/sbin/docker-init"}


def test_only_the_files_of_this_cell_are_present() -> None:
    assert sorted(path.name for path in Path("/matrixci").iterdir()) == [
        "cell.json",
        "checks",
        "harness",
        "results",
    ]
    assert [path.name for path in Path("/matrixci/results").iterdir()] == ["results.jsonl"]


def test_processes_of_other_cells_are_invisible() -> None:
    shown = [
        Path(path, "cmdline").read_bytes()
        for path in Path("/proc").glob("[0-9]*")
        if (path / "cmdline").exists()
    ]
    assert sum(b"supervise.py" in each for each in shown) <= 2  # under its init


def test_memory_and_cpus_match_the_limits() -> None:
    group = Path("/sys/fs/cgroup")
    if not (group / "memory.max").exists():
        pytest.skip("needs control groups of version 2")
    assert int((group / "memory.max").read_text()) == 256 * 2**20
    assert (group / "memory.swap.max").read_text().strip() in {"0", "max"}
    quota, period = (group / "cpu.max").read_text().split()
    assert int(quota) == int(period)
    assert int((group / "pids.max").read_text()) == 128
    with pytest.raises(OSError):  # noqa: PT011
        (group / "memory.max").write_text("max")
