"""A separate network for a test engine, which reaches only one proxy."""

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
    """An HTTP proxy on an address of this machine, which a test can cut."""

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
        """Variables that make uv and pip use this proxy, also in builds."""
        return {"HTTPS_PROXY": self.url, "https_proxy": self.url}

    def cut(self) -> None:
        """Close all connections, and refuse new ones until `restore` is called."""
        self.is_cut = True
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def restore(self) -> None:
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
            request = b""
            while b"\r\n\r\n" not in request and len(request) < _REQUEST_BYTES:
                request += self.request.recv(_PIECE_BYTES) or b"\r\n\r\n"
            method, target, *_ = [*request.decode("latin-1").split(" "), "", ""]
            host, _, port = target.rpartition(":")
            if method != "CONNECT":
                self.request.sendall(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
                return
            with socket.create_connection((host, int(port)), timeout=30) as server:
                server.settimeout(None)
                self.proxy.ends += [self.request, server]
                self.request.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=_forward, args=(server, self.request), daemon=True)
                back.start()
                _forward(self.request, server)
                back.join()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    """A network namespace, connected to this machine by a pair of interfaces."""

    name: str
    proxy: Proxy

    @property
    def daemon(self) -> list[str]:
        """The command that starts dockerd in the namespace, without its options."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "dockerd"]


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Create a network, and remove it at the end of the context.

    Raises:
        OSError: The network cannot be created here.
    """
    token = secrets.token_bytes(3)
    name = f"mx{token.hex()}"
    outer = f"10.213.{token[0]}.{token[1] & 0xFC | 1}"
    inner = f"10.213.{token[0]}.{token[1] & 0xFC | 2}"
    link = ["link", "add", name, "type", "veth", "peer", "name", "out0", "netns", name]
    try:
        _ip("netns", "add", name)
        _ip(*link)
        _ip("address", "add", f"{outer}/30", "dev", name)
        _ip("link", "set", name, "up")
        for setting in (
            ["address", "add", f"{inner}/30", "dev", "out0"],
            ["link", "set", "out0", "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-netns", name, *setting)
        with Proxy(outer) as proxy:
            thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield OwnNetwork(name=name, proxy=proxy)
            finally:
                proxy.cut()
                proxy.shutdown()
                thread.join()
    finally:
        for leftover in (["link", "delete", name], ["netns", "delete", name]):
            subprocess.run(["ip", *leftover], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise OSError(msg)
