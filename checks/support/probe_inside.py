"""Code that runs inside the observed interpreter.

`probe.py` starts this file as a script, and controls it over a socket. It preloads some imports,
then forks once for each snippet, so that a check does not pay for the imports again and cannot
affect the next one. It uses the standard library only, and imports nothing of the stack except for
the preload and the snippets.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import linecache
import os
import socket
import sys
import time
import traceback
import zipimport
from importlib.machinery import ExtensionFileLoader, SourceFileLoader, SourcelessFileLoader
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader, zipimport.zipimporter)
SNIPPET = "<snippet>"
NO_CODE = "import"  # shown for a frame without a source line


class Recorder:
    """Records which modules are executed, and which modules imported the forbidden ones.

    It wraps `exec_module` of the loaders and not the finders: libraries call `find_spec` to detect
    a framework, and that is allowed.
    """

    def __init__(self, forbidden: list[str]) -> None:
        self.forbidden = frozenset(forbidden)
        self.executed: list[str] = []
        self.chains: dict[str, list[str]] = {}
        self.report: Callable[[str, list[str]], None] = lambda _name, _chain: None
        self.after: dict[str, Callable[[ModuleType], None]] = {}  # module to a hook to call then

    def install(self) -> None:
        """Wrap the loaders; modules executed earlier are not recorded."""
        for loader in LOADERS:
            loader.exec_module = self._recording(loader.exec_module)  # type: ignore[method-assign]

    def _recording(self, execute: Callable[[Any, ModuleType], None]) -> Callable[..., None]:
        def exec_module(loader: object, module: ModuleType) -> None:
            self.add(module.__name__)
            execute(loader, module)
            if module.__name__ in self.after:
                self.after[module.__name__](module)

        return exec_module

    def add(self, name: str) -> None:
        """Record that a module is about to be executed."""
        self.executed.append(name)
        if name.partition(".")[0] in self.forbidden:
            self.chains[name] = chain_of_importers(sys._getframe(2))  # noqa: SLF001
            self.report(name, self.chains[name])

    def seen(self) -> list[str]:
        """Return the forbidden packages in use, however they were imported."""
        modules: dict[str, ModuleType | None] = dict(sys.modules)  # None: import blocked
        present = [name for name, module in modules.items() if module is not None]
        roots = {name.partition(".")[0] for name in (*self.chains, *present)}
        return sorted(roots & self.forbidden)


def chain_of_importers(frame: FrameType | None) -> list[str]:
    """Return the modules that led to an import, outermost first, each with its line."""
    links: list[str] = []
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        machinery = name.partition(".")[0] == "importlib" or frame.f_code.co_filename == __file__
        own = machinery or frame.f_code.co_filename == SNIPPET
        # The importing statement counts even inside a function; above it, only module bodies do.
        if not own and (not links or frame.f_code.co_name == "<module>"):
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            links.append(f"{name}:{frame.f_lineno}  {line or NO_CODE}")
        frame = frame.f_back
    return links[::-1]


class Absent(Exception):  # noqa: N818 - not an error: the release lacks the entry
    """The installed release has no such module or attribute."""


def enter(entry: str) -> object:
    """Import `package.module` or `package.attribute`.

    Raises:
        Absent: the installed release has neither.
    """
    parent, _, last = entry.rpartition(".")
    try:
        found = importlib.util.find_spec(entry) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{entry}.".startswith(f"{error.name}."):
            raise
        if error.name != entry:  # no such parent; else the parent is a module, not a package
            raise Absent(str(error)) from error
        found = False
    if found:
        return importlib.import_module(entry)
    if not parent:
        msg = f"No module named {entry!r}"
        raise Absent(msg)
    module = importlib.import_module(parent)
    try:
        return getattr(module, last)
    except AttributeError as error:
        if error.name == last and error.obj is module:
            raise Absent(str(error)) from error
        raise


def described(error: BaseException) -> dict[str, object]:
    """Return the type, message and the end of the traceback of an exception."""
    return {
        "type": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__],
        "message": str(error)[-1500:],
        "traceback": "".join(traceback.format_exception(error))[-6000:],
    }


class ResultPipe:
    """Sends JSON lines over the result pipe, each with the token of its job."""

    def __init__(self, fd: int, token: str) -> None:
        self.fd = fd
        self.token = token

    def send(self, kind: str, **content: object) -> None:
        """Send one line completely, however long it is."""
        line = json.dumps({"token": self.token, "kind": kind, **content}) + "\n"
        rest = line.encode()
        while rest:
            rest = rest[os.write(self.fd, rest) :]


def execute(job: dict[str, Any], pipe: ResultPipe, recorder: Recorder) -> int:
    """Execute a snippet and send its results; return the exit status."""
    recorder.executed.clear()
    recorder.report = lambda name, chain: pipe.send("executed", name=name, chain=chain)
    for name, value in job["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    sys.path[:0] = job["paths"]
    importlib.invalidate_caches()
    os.chdir(job["folder"])
    reported: list[object] = []
    namespace: dict[str, object] = {
        "__name__": "__main__",
        "Absent": Absent,
        "described": described,
        "enter": enter,
        "note": lambda value: pipe.send("note", value=value),
        "recorder": recorder,
        "report": reported.append,
    }
    linecache.cache[SNIPPET] = (0, None, job["source"].splitlines(keepends=True), SNIPPET)
    try:
        exec(compile(job["source"], SNIPPET, "exec"), namespace)  # noqa: S102
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - any exception is an observation
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # without the exec() above
        pipe.send("raised", error=described(error))
        return 1
    pipe.send(
        "value",
        value=reported[-1] if reported else None,
        reported=bool(reported),
        executed=recorder.executed,
        seen=recorder.seen(),
    )
    return 0


def preload(names: list[str], control: socket.socket) -> dict[str, dict[str, Any]]:
    """Import the entries one after the other; return the duration and error of each."""
    loaded: dict[str, dict[str, Any]] = {}
    for name in names:
        control.send(json.dumps({"importing": name}).encode())
        began = time.monotonic()
        error: dict[str, object] | None = None
        try:
            enter(name)
        except BaseException as raised:  # noqa: BLE001 - reported by the checks that need the entry
            error = described(raised)
        loaded[name] = {"seconds": time.monotonic() - began, "error": error}
    return loaded


def serve(control: socket.socket, start: dict[str, Any]) -> int:
    """Preload, then fork for each job until the other end is closed."""
    sys.path[:1] = start["paths"]  # replaces this file's own folder
    recorder = Recorder(start["forbidden"])
    recorder.install()
    control.send(json.dumps({"preloaded": preload(start["preload"], control)}).encode())
    gc.freeze()  # forks neither copy nor collect the objects that exist already
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    while True:
        message, fds, _flags, _address = socket.recv_fds(control, 1 << 18, 2)
        if not message:
            return 0
        result, output = fds
        pid = os.fork()
        if pid == 0:
            control.close()
            os.setsid()
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            job = json.loads(message)
            status = execute(job, ResultPipe(result, job["token"]), recorder)
            if not job["finalise"]:
                sys.stdout.flush()
                os._exit(status)
            return status
        os.close(result)
        os.close(output)
        control.send(json.dumps({"pid": pid}).encode())
        _pid, status, usage = os.wait4(pid, 0)
        ended = {"status": os.waitstatus_to_exitcode(status), "peak_kib": usage.ru_maxrss}
        control.send(json.dumps(ended).encode())


if __name__ == "__main__":
    _control = socket.socket(fileno=int(sys.argv[1]))
    _start = json.loads(sys.argv[2])
    sys.argv[:] = ["-c"]
    sys.exit(serve(_control, _start))
