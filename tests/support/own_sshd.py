"""An ssh server for a test on the loopback interface, and an ssh command for it."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_state import skip_or_fail, wait_until


class OwnSshd:
    """An ssh server that accepts one client key; all its files are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = pwd.getpwuid(os.getuid()).pw_name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name in ("host", "client", "stranger"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(argv, check=True)
        shutil.copy(folder / "client.pub", folder / "authorized")
        key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {key}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\n"
            f"PidFile none\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        )
        self.configure("client", "known")

    def configure(self, key: str, known: str) -> None:
        """Configure the key and the known hosts file of the ssh command."""
        (self.folder / "ssh_config").write_text(
            f"IdentityFile {self.folder}/{key}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.folder}/{known}\nGlobalKnownHostsFile none\n"
            "StrictHostKeyChecking ask\n"
        )

    def address(self, path: str, host: str = "127.0.0.1") -> str:
        return f"ssh://{self.user}@{host}:{self.port}{path}"

    @property
    def search_path(self) -> str:
        """A PATH with an ssh command that uses the configuration of the test."""
        return f"{self.folder}/bin:{os.environ['PATH']}"

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


@contextmanager
def own_sshd(folder: Path) -> Iterator[OwnSshd]:
    """Start an ssh server, and stop it at the end of the context."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ssh = shutil.which("ssh")
    if program is None or ssh is None:
        skip_or_fail("ssh or sshd is not installed: apt-get install openssh-server openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without it
    sshd = OwnSshd(folder)
    (folder / "bin").mkdir()
    wrapper = folder / "bin/ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    argv = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(argv, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}) as process,
    ):
        try:
            assert wait_until(sshd.answers), (folder / "log").read_text()
            yield sshd
        finally:
            process.terminate()
            process.wait()
