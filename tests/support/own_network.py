"""A network of a test's own, for an engine of its own: it leads to one proxy, and nowhere else."""

import secrets
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIECE_BYTES = 2**16
_REQUEST_BYTES = 2**13


class Proxy(socketserver.ThreadingTCPServer):
    """Hands connections on, for as long as it isn't cut; the address is one of this machine."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), _Handler)
        self.url = f"http://{address}:{self.socket.getsockname()[1]}"
        self.is_cut = False
        self.ends: list[socket.socket] = []

    @property
    def environment(self) -> dict[str, str]:
        """What sends uv and pip this way, here and in builds."""
        return {"HTTPS_PROXY": self.url, "https_proxy": self.url}

    def cut(self) -> None:
        """Break off all that goes through, and take nothing more until it is mended."""
        self.is_cut = True
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def mend(self) -> None:
        self.is_cut = False


class _Handler(socketserver.BaseRequestHandler):
    @property
    def proxy(self) -> Proxy:
        assert isinstance(self.server, Proxy)
        return self.server

    def handle(self) -> None:
        if self.proxy.is_cut:
            return
        with suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked and len(asked) < _REQUEST_BYTES:
                asked += self.request.recv(_PIECE_BYTES) or b"\r\n\r\n"
            method, target, *_ = [*asked.decode("latin-1").split(" "), "", ""]
            host, _, port = target.rpartition(":")
            if method != "CONNECT":
                self.request.sendall(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
                return
            with socket.create_connection((host, int(port)), timeout=30) as beyond:
                beyond.settimeout(None)
                self.proxy.ends += [self.request, beyond]
                self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_hand_over, args=(beyond, self.request), daemon=True)
                back.start()
                _hand_over(self.request, beyond)
                back.join()


def _hand_over(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    """A network namespace, joined to this machine by a cable of two addresses."""

    name: str
    proxy: Proxy

    @property
    def daemon(self) -> list[str]:
        """How a dockerd begins that is in it."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "dockerd"]


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Yield a network; nothing is left of it, not even what still runs in it has it.

    Raises:
        OSError: this machine lets nobody make one.
    """
    token = secrets.token_bytes(3)
    name = f"mx{token.hex()}"
    here = f"10.213.{token[0]}.{token[1] & 0xFC | 1}"
    there = f"10.213.{token[0]}.{token[1] & 0xFC | 2}"
    cable = ["link", "add", name, "type", "veth", "peer", "name", "out0", "netns", name]
    try:
        _ip("netns", "add", name)
        _ip(*cable)
        _ip("address", "add", f"{here}/30", "dev", name)
        _ip("link", "set", name, "up")
        for setting in (
            ["address", "add", f"{there}/30", "dev", "out0"],
            ["link", "set", "out0", "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-netns", name, *setting)
        with Proxy(here) as proxy:
            thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield OwnNetwork(name=name, proxy=proxy)
            finally:
                proxy.cut()
                proxy.shutdown()
                thread.join()
    finally:
        for remains in (["link", "delete", name], ["netns", "delete", name]):
            subprocess.run(["ip", *remains], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise OSError(msg)
