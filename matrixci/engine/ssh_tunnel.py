"""Forward the socket of a remote engine to this machine with the ssh command.

The SDK and the docker command share the one connection. By themselves, the SDK would need a library
for ssh, and the docker command would log in for each call.
"""

import atexit
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from matrixci.errors import EngineError

_SOCKET: Final = "/var/run/docker.sock"
_SECONDS: Final = 60.0
# No prompts at the terminal, detection of a lost connection, and no dependency on another session.
_OPTIONS: Final = (
    "BatchMode=yes",
    "ConnectTimeout=30",
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=15",
    "StreamLocalBindMask=0177",
)
_HINTS: Final = (
    (
        re.compile(r"Could not resolve hostname"),
        "Check the host name, and ~/.ssh/config.",
    ),
    (
        re.compile(r"Host key verification failed|No \S+ host key is known"),
        "ssh does not know the host's key: connect once by hand and check it.",
    ),
    (
        re.compile(r"Permission denied"),
        "The host accepts none of the keys that ssh has here: use ssh-add, or ssh-copy-id.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A socket of this machine that is forwarded to a remote engine."""

    socket: Path
    process: subprocess.Popen[bytes]
    errors: Path

    @property
    def host(self) -> str:
        """The address at which the engine is reachable."""
        return f"unix://{self.socket}"

    def last_error(self) -> str:
        """Return the last line of ssh's error output."""
        lines = self.errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close the connection."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


def open_tunnel(address: str) -> Tunnel:
    """Open a tunnel to an engine; it stays open until this process ends.

    Args:
        address: ssh://[USER@]HOST[:PORT][/SOCKET].

    Raises:
        EngineError: the address is invalid, or the host is unreachable or refuses the login.
    """
    url = _parsed(address)
    login = [*(["-p", str(url.port)] if url.port else [])]
    login += [*(["-l", unquote(url.username)] if url.username else []), "--", str(url.hostname)]
    folder = Path(tempfile.mkdtemp(prefix="matrixci-ssh-"))
    socket, errors = folder / "engine", folder / "errors"
    forward = f"{socket}:{unquote(url.path) if url.path.strip('/') else _SOCKET}"
    options = [word for option in _OPTIONS for word in ("-o", option)]
    # The remote command ends at the end of its input: with this process, however it ends.
    argv = ["ssh", "-T", "-a", "-x", *options, "-L", forward, *login, "cat"]
    try:
        with errors.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,  # the terminal's Ctrl-C must reach only this process
            )
    except FileNotFoundError as error:
        shutil.rmtree(folder)
        msg = f"No ssh command on PATH, which is needed to reach {address}."
        raise EngineError(msg) from error
    tunnel = Tunnel(socket=socket, process=process, errors=errors)
    try:
        _wait(tunnel, address, login)
    except BaseException:
        tunnel.close()
        raise
    atexit.register(tunnel.close)
    return tunnel


def _parsed(address: str) -> SplitResult:
    msg = f"Invalid engine address {address}: write ssh://USER@HOST or ssh://USER@HOST:PORT"
    try:
        url = urlsplit(address)
        named = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError as error:
        raise EngineError(msg) from error
    if not named or url.password or url.query or url.fragment:
        raise EngineError(msg)
    return url


def _wait(tunnel: Tunnel, address: str, login: Sequence[str]) -> None:
    """Wait until ssh forwards the socket.

    Raises:
        EngineError: it does not.
    """
    deadline = time.monotonic() + _SECONDS
    while not tunnel.socket.is_socket():
        if tunnel.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        error = tunnel.last_error() or f"no answer within {_SECONDS:.0f} s"
        hints = [hint for pattern, hint in _HINTS if pattern.search(error)]
        hint = hints[0] if hints else "Check that the host is up and accepts this user."
        msg = f"Cannot reach the engine at {address}: {error}\n{hint}\nTry: {_test_command(login)}"
        raise EngineError(msg)


def _test_command(login: Sequence[str]) -> str:
    return shlex.join(["ssh", *(word for word in login if word != "--"), "docker", "version"])
