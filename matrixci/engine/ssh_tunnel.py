"""A way to an engine behind ssh: its socket, forwarded to one of this machine by the ssh command.

One connection serves all that is asked of the engine, by whom ever: the SDK, which would need a
library of its own for ssh, and the docker command, which would log in anew for each question.
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
# Nothing is asked at the terminal, a connection that was lost is noticed, and there is no other
# one that it could hang on.
_OPTIONS: Final = (
    "BatchMode=yes",
    "ConnectTimeout=30",
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=15",
    "StreamLocalBindMask=0177",
)
_CAUSES: Final = (
    (
        re.compile(r"Could not resolve hostname"),
        "The host's name is not known here: see the name, or ~/.ssh/config.",
    ),
    (
        re.compile(r"Host key verification failed|No \S+ host key is known"),
        "The host is not known to ssh: look at its key once by hand.",
    ),
    (
        re.compile(r"Permission denied"),
        "The host lets nobody in with the keys that ssh has here: ssh-add one, or ssh-copy-id it.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A socket of this machine that leads to an engine elsewhere."""

    socket: Path
    process: subprocess.Popen[bytes]
    errors: Path

    @property
    def host(self) -> str:
        """Where the engine is met."""
        return f"unix://{self.socket}"

    def said(self) -> str:
        """Return the last thing that ssh complained of."""
        lines = self.errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


def open_tunnel(address: str) -> Tunnel:
    """Open a way to an engine that lasts as long as this process.

    Args:
        address: ssh://[USER@]HOST[:PORT][/SOCKET].

    Raises:
        EngineError: the host can't be reached, doesn't let us in, or is none.
    """
    url = _parsed(address)
    login = [*(["-p", str(url.port)] if url.port else [])]
    login += [*(["-l", unquote(url.username)] if url.username else []), "--", str(url.hostname)]
    folder = Path(tempfile.mkdtemp(prefix="matrixci-ssh-"))
    socket, errors = folder / "engine", folder / "errors"
    forward = f"{socket}:{unquote(url.path) if url.path.strip('/') else _SOCKET}"
    options = [word for option in _OPTIONS for word in ("-o", option)]
    # What runs there ends when its input does: with us, however we end.
    argv = ["ssh", "-T", "-a", "-x", *options, "-L", forward, *login, "cat"]
    try:
        with errors.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,  # the terminal's Ctrl-C reaches us alone
            )
    except FileNotFoundError as error:
        shutil.rmtree(folder)
        msg = f"There is no ssh command on PATH, by which {address} could be reached."
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
    msg = f"{address} is no address of an engine: write ssh://USER@HOST, or ssh://USER@HOST:PORT"
    try:
        url = urlsplit(address)
        named = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError as error:
        raise EngineError(msg) from error
    if not named or url.password or url.query or url.fragment:
        raise EngineError(msg)
    return url


def _wait(tunnel: Tunnel, address: str, login: Sequence[str]) -> None:
    """Wait until ssh has let us in.

    Raises:
        EngineError: it doesn't.
    """
    deadline = time.monotonic() + _SECONDS
    while not tunnel.socket.is_socket():
        if tunnel.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        said = tunnel.said() or f"no answer within {_SECONDS:.0f} s"
        causes = [told for pattern, told in _CAUSES if pattern.search(said)]
        advice = causes[0] if causes else "See whether the host is up, and lets this user in."
        msg = f"No way to the engine at {address}: {said}\n{advice}\nTry: {_by_hand(login)}"
        raise EngineError(msg)


def _by_hand(login: Sequence[str]) -> str:
    return shlex.join(["ssh", *(word for word in login if word != "--"), "docker", "version"])
