"""The inside of a probe: what runs in the interpreter that is observed.

`probe.py` starts this file as a script and speaks to it over a socket. It imports what it is told
to, then forks once for each snippet, so that a claim doesn't pay for the imports again and can't
disturb the next one. Standard library only; nothing of the stack is touched but what the snippets
and the preload ask for.
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
NO_CODE = "import"  # what a frame without a source line is shown as


class Recorder:
    """Records which modules are executed, and for the forbidden ones who imported them.

    The loaders' `exec_module` is wrapped, not the finders: `find_spec` is also how a library asks
    whether another one is there, and asking is allowed.
    """

    def __init__(self, forbidden: list[str]) -> None:
        self.forbidden = frozenset(forbidden)
        self.executed: list[str] = []
        self.chains: dict[str, list[str]] = {}
        self.tell: Callable[[str, list[str]], None] = lambda _name, _chain: None
        self.after: dict[str, Callable[[ModuleType], None]] = {}  # module to what is done then

    def install(self) -> None:
        """Wrap the loaders; what was executed before is not recorded."""
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
        """Note that a module is about to be executed."""
        self.executed.append(name)
        if name.partition(".")[0] in self.forbidden:
            self.chains[name] = chain_of_importers(sys._getframe(2))  # noqa: SLF001
            self.tell(name, self.chains[name])

    def seen(self) -> list[str]:
        """Return the forbidden packages that are in use, however they came in."""
        modules: dict[str, ModuleType | None] = dict(sys.modules)  # None: kept from being imported
        present = [name for name, module in modules.items() if module is not None]
        roots = {name.partition(".")[0] for name in (*self.chains, *present)}
        return sorted(roots & self.forbidden)


def chain_of_importers(frame: FrameType | None) -> list[str]:
    """Return the modules whose bodies led to an import, outermost first, each with its line."""
    links: list[str] = []
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        machinery = name.partition(".")[0] == "importlib" or frame.f_code.co_filename == __file__
        own = machinery or frame.f_code.co_filename == SNIPPET
        # The importing statement itself counts wherever it stands; above it, only module bodies.
        if not own and (not links or frame.f_code.co_name == "<module>"):
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            links.append(f"{name}:{frame.f_lineno}  {line or NO_CODE}")
        frame = frame.f_back
    return links[::-1]


class Absent(Exception):  # noqa: N818 - it is no error: the release has no such entry
    """The installed release has no such module or attribute."""


def enter(entry: str) -> object:
    """Import `package.module`, or `package.attribute`; Absent where there is neither."""
    parent, _, last = entry.rpartition(".")
    try:
        found = importlib.util.find_spec(entry) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{entry}.".startswith(f"{error.name}."):
            raise
        if error.name != entry:  # no such parent; else the parent is a module and no package
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
    """Return an exception as data: its type, its message, the end of its traceback."""
    return {
        "type": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__],
        "message": str(error)[-1500:],
        "traceback": "".join(traceback.format_exception(error))[-6000:],
    }


class Speaker:
    """Sends JSON lines over the result pipe, each with the token of its job."""

    def __init__(self, fd: int, token: str) -> None:
        self.fd = fd
        self.token = token

    def send(self, kind: str, **content: object) -> None:
        """Send one line, whole, however long it is."""
        line = json.dumps({"token": self.token, "kind": kind, **content}) + "\n"
        rest = line.encode()
        while rest:
            rest = rest[os.write(self.fd, rest) :]


def live(job: dict[str, Any], speaker: Speaker, recorder: Recorder) -> int:
    """Execute a snippet and report; return the exit status."""
    recorder.executed.clear()
    recorder.tell = lambda name, chain: speaker.send("executed", name=name, chain=chain)
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
        "note": lambda value: speaker.send("note", value=value),
        "recorder": recorder,
        "report": reported.append,
    }
    linecache.cache[SNIPPET] = (0, None, job["source"].splitlines(keepends=True), SNIPPET)
    try:
        exec(compile(job["source"], SNIPPET, "exec"), namespace)  # noqa: S102
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what is observed
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # without the line above
        speaker.send("raised", error=described(error))
        return 1
    speaker.send(
        "value",
        value=reported[-1] if reported else None,
        reported=bool(reported),
        executed=recorder.executed,
        seen=recorder.seen(),
    )
    return 0


def preload(names: list[str], control: socket.socket) -> dict[str, dict[str, Any]]:
    """Import the entries, one after the other, and say how each of them went."""
    loaded: dict[str, dict[str, Any]] = {}
    for name in names:
        control.send(json.dumps({"importing": name}).encode())
        began = time.monotonic()
        error: dict[str, object] | None = None
        try:
            enter(name)
        except BaseException as raised:  # noqa: BLE001 - the claims that need it will say so
            error = described(raised)
        loaded[name] = {"seconds": time.monotonic() - began, "error": error}
    return loaded


def serve(control: socket.socket, start: dict[str, Any]) -> int:
    """Preload, then fork for each job until the other end goes away."""
    sys.path[:1] = start["paths"]  # in place of this file's own folder
    recorder = Recorder(start["forbidden"])
    recorder.install()
    control.send(json.dumps({"preloaded": preload(start["preload"], control)}).encode())
    gc.freeze()  # a fork neither copies nor walks what was there before it
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
            status = live(job, Speaker(result, job["token"]), recorder)
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
