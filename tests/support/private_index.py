"""A package index that requires a password, reachable from this machine and from builds."""

import base64
import hashlib
import io
import secrets
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

from engine_state import docker

USER = "toyuser"
SLOW_SECONDS = 20


class Fault(StrEnum):
    """What the index does wrong when a file is requested."""

    FAILS = "fails"
    SLOW = "slow"
    CUTS = "cuts"
    FORGES = "forges"


class PrivateIndex(ThreadingHTTPServer):
    """A server of one wheel that requires a password."""

    def __init__(self, wheel: Path, address: str, containers: IPv4Network) -> None:
        super().__init__((address, 0), _Handler)
        self.wheel = wheel
        self.address = address
        self.containers = containers
        self.password = f"geheim{secrets.token_hex(12)}"
        self.allows_builds = True
        self.faults: dict[str, Fault] = {}
        """Fault for each client, `build` or `machine`."""
        self.failures = 1_000_000
        """Number of faulty answers; later ones are correct."""
        self.served: set[str] = set()
        """Clients that downloaded the wheel: `build`, `machine`."""

    @property
    def credentials(self) -> str:
        """The credentials in the Authorization header."""
        return base64.b64encode(f"{USER}:{self.password}".encode()).decode()

    def url(self, password: str | None = None) -> str:
        authority = f"{USER}:{password or self.password}@{self.address}:{self.server_port}"
        return f"http://{authority}/simple"


class _Handler(BaseHTTPRequestHandler):
    @property
    def index(self) -> PrivateIndex:
        assert isinstance(self.server, PrivateIndex)
        return self.server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        status, body = self._found()
        fault = self._fault() if status == HTTPStatus.OK else None
        if fault is Fault.FAILS:
            status, body = HTTPStatus.INTERNAL_SERVER_ERROR, b""
        elif fault is Fault.SLOW:
            time.sleep(SLOW_SECONDS)
        elif fault is Fault.FORGES and self.path.endswith(".whl"):
            body = _forged(body)
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="toys"')
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "wheel")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            with suppress(OSError):  # the client has closed the connection
                self.wfile.write(body[:10] if fault is Fault.CUTS else body)

    def _found(self) -> tuple[int, bytes]:
        wheel = self.index.wheel
        if self.headers["Authorization"] != f"Basic {self.index.credentials}":
            return 401, b""
        if self._client() == "build" and not self.index.allows_builds:
            return 403, b""
        if self.path == f"/simple/{wheel.name.partition('-')[0]}/":
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            return 200, f'<a href="/{wheel.name}#sha256={digest}">{wheel.name}</a>'.encode()
        if self.path == f"/{wheel.name}":
            self.index.served.add(self._client())
            return 200, wheel.read_bytes()
        return 404, b""

    def _fault(self) -> Fault | None:
        fault = self.index.faults.get(self._client())
        if fault is None or self.index.failures == 0:
            return None
        self.index.failures -= 1
        return fault

    def _client(self) -> str:
        client, gateway = self.client_address[0], self.index.address
        is_container = ip_address(client) in self.index.containers and client != gateway
        return "build" if is_container else "machine"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _forged(wheel: bytes) -> bytes:
    """Return a valid wheel with other content."""
    forged = io.BytesIO(wheel)
    with zipfile.ZipFile(forged, "a") as archive:
        archive.writestr("forged.py", "FORGED = True\n")
    return forged.getvalue()


@contextmanager
def serving(wheel: Path) -> Iterator[PrivateIndex]:
    """Serve a wheel on the address at which containers reach this machine.

    Raises:
        OSError: The bridge of the engine is not on this machine.
    """
    form = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
    gateway, subnet = docker("network", "inspect", "bridge", "--format", form).split()
    with PrivateIndex(wheel, gateway, IPv4Network(subnet)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


CHECKS = {
    "test_toy.py": """
        import importlib, os

        def test_dependency():
            importlib.import_module(os.environ["MODULE"])

        def test_environment():
            assert not [name for name in os.environ if name.startswith(("UV_", "PIP_", "NETRC"))]
        """
}


MODES: dict[str, dict[str, Any]] = {
    "open": {"environment": {"MODULE": "toysubject"}},
    "closed": {"environment": {"MODULE": "toydependency"}, "requires": "toydependency"},
}
