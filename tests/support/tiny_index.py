"""A package index on the loopback interface: the wheels of a folder, or one HTTP status."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Index(ThreadingHTTPServer):
    folder: Path
    status: int | None


class _Handler(BaseHTTPRequestHandler):
    @property
    def index(self) -> _Index:
        assert isinstance(self.server, _Index)
        return self.server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        status, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "wheel")
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # the client was stopped
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

    def _answer(self) -> tuple[int, bytes]:
        *_, part, name = self.path.rstrip("/").split("/")
        if self.index.status is not None:
            return self.index.status, b""
        if part == "files":
            return 200, (self.index.folder / name).read_bytes()
        wheels = sorted(self.index.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        links = [
            f'<a href="/files/{wheel.name}"{_yanked(wheel)}{_python(wheel)}>{wheel.name}</a>'
            for wheel in wheels
        ]
        return (200, "\n".join(links).encode()) if wheels else (404, b"")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _yanked(wheel: Path) -> str:
    """Return the attribute of a yanked wheel, which has a .yanked file next to it."""
    return ' data-yanked="broken"' if wheel.with_suffix(".yanked").exists() else ""


def _python(wheel: Path) -> str:
    """Return the attribute of a wheel whose index page has its Requires-Python, as on PyPI."""
    path = wheel.with_suffix(".python")
    return f' data-requires-python="{escape(path.read_text())}"' if path.exists() else ""


@contextmanager
def serving(folder: Path, status: int | None = None) -> Iterator[str]:
    """Serve the wheels of a folder, or one HTTP status, and yield the URL of the index."""
    with _Index(("127.0.0.1", 0), _Handler) as server:
        server.folder, server.status = folder, status
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()
