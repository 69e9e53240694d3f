"""What an import or a use left behind, or did on the way: to be executed in a probe.

Nothing here changes what it observes. An audit hook sees what Python code opens and connects to;
processes are found by a mark in their environment, or by the session that they share with the
probe, so that a daemon that left its parent is found too.
"""

from __future__ import annotations

MARK = "MATRIXCI_PROBE"

AFTERMATH = f"""\
import os, sys, threading, time

def threads_left():
    return [one for one in threading.enumerate() if one is not threading.main_thread()]

given_up = set()

def processes_left(mark):
    left = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in (os.getpid(), os.getppid()):
            continue
        try:
            with open(f"/proc/{{entry}}/stat", "rb") as file:
                state, _parent, _group, session = file.read().rpartition(b")")[2].split()[:4]
            with open(f"/proc/{{entry}}/environ", "rb") as file:
                marked = f"{MARK}={{mark}}".encode() in file.read().split(b"\\0")
            with open(f"/proc/{{entry}}/cmdline", "rb") as file:
                command = file.read().replace(b"\\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or is another user's
            continue
        own = int(session) == os.getsid(0)
        if state != b"Z" and (marked or (own and int(entry) > os.getpid())):
            left.append(f"process {{entry}}: {{command[:300]}}")
    return left

def settle(mark, most=3.0):
    # What was begun beside the import may still be on its way; each thing is waited for once.
    deadline = time.monotonic() + most
    for thread in threads_left():
        idle = type(thread).__module__.startswith("tqdm.")  # it waits until the end by design
        if not idle and thread not in given_up:
            thread.join(max(0.0, deadline - time.monotonic()))
            given_up.add(thread)
    while set(processes_left(mark)) - given_up and time.monotonic() < deadline:
        time.sleep(0.05)
    given_up.update(processes_left(mark))
"""

# Every place that was written to and every address that was spoken to, with the line that did it.
WATCH = """\
import os, sys

class Watch:
    WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    CHANGES = {
        "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.chmod": 0,
        "os.rename": 1, "os.link": 1, "os.symlink": 1, "shutil.copyfile": 1, "shutil.move": 1,
        "sqlite3.connect": 0,
    }
    # Where the folder stands that a relative path is meant from, as an open file; -1 for none.
    FOLDERS = {
        "os.mkdir": 2, "os.remove": 1, "os.rmdir": 1, "os.chmod": 2,
        "os.rename": 3, "os.link": 3, "os.symlink": 2,
    }
    SPEAKS = {
        "socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0,
        "socket.gethostbyname": 0, "urllib.Request": 0, "http.client.connect": 1,
    }

    def __init__(self):
        self.on, self.written, self.spoken, self.started = True, {}, {}, {}
        sys.addaudithook(self.hear)

    def hear(self, event, args):
        if not self.on:
            return
        if event == "open":
            if isinstance(args[0], (str, bytes)) and args[2] & self.WRITING:
                self.keep(self.written, os.path.abspath(os.fsdecode(args[0])))
        elif event in self.CHANGES:
            place = args[self.CHANGES[event]]
            if isinstance(place, (str, bytes, os.PathLike)):
                folder = args[self.FOLDERS[event]] if event in self.FOLDERS else -1
                base = os.readlink(f"/proc/self/fd/{folder}") if folder != -1 else os.getcwd()
                self.keep(self.written, os.path.normpath(os.path.join(base, os.fsdecode(place))))
        elif event in self.SPEAKS:
            address = args[self.SPEAKS[event]]
            local = event in {"socket.connect", "socket.sendto"}
            if not (local and isinstance(address, (str, bytes))):  # a socket of this machine's
                self.keep(self.spoken, f"{event} {address!r}")
        elif event in {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"}:
            self.keep(self.started, repr(args[1] if event == "subprocess.Popen" else args[0]))

    def keep(self, kept, what):
        if what not in kept and len(kept) < 50:
            self.on = False
            kept[what] = importers()
            self.on = True

def watch_cuda(module):
    # A machine without a GPU refuses to initialise CUDA; that it was tried is what is asked. The
    # code is replaced and not the function, of which others hold a copy already.
    lazy_init = module._lazy_init
    module._matrixci_tried = []
    module._matrixci_lazy_init = type(lazy_init)(lazy_init.__code__, module.__dict__)
    module._matrixci_importers = importers

    def tried():
        _matrixci_tried.append(_matrixci_importers(2))
        return _matrixci_lazy_init()

    lazy_init.__code__ = tried.__code__

def importers(depth=3):
    links, frame = [], sys._getframe(depth)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        file = frame.f_code.co_filename
        if not name.startswith("importlib") and file != "<snippet>" and "probe_inside" not in file:
            links.append(f"{name}:{frame.f_lineno} in {frame.f_code.co_name}")
        frame = frame.f_back
    return links[::-1]
"""
