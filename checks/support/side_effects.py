"""Snippets for probes that observe side effects: threads, processes, files and connections.

They do not change what they observe. An audit hook sees the files and connections that Python code
opens. Processes are found by a variable in their environment, or by the session that they share
with the probe, so that a daemon without a parent is found too.
"""

from __future__ import annotations

MARK = "MATRIXCI_PROBE"

LEFTOVERS = f"""\
import os, sys, threading, time

def threads_left():
    return [thread for thread in threading.enumerate() if thread is not threading.main_thread()]

waited_for = set()

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
        except OSError:  # it has ended, or belongs to another user
            continue
        own = int(session) == os.getsid(0)
        if state != b"Z" and (marked or (own and int(entry) > os.getpid())):
            left.append(f"process {{entry}}: {{command[:300]}}")
    return left

def settle(mark, most=3.0):
    # Wait for what the import started in the background; for each thread and process only once.
    deadline = time.monotonic() + most
    for thread in threads_left():
        idle = type(thread).__module__.startswith("tqdm.")  # by design, it waits until the exit
        if not idle and thread not in waited_for:
            thread.join(max(0.0, deadline - time.monotonic()))
            waited_for.add(thread)
    while set(processes_left(mark)) - waited_for and time.monotonic() < deadline:
        time.sleep(0.05)
    waited_for.update(processes_left(mark))
"""

# Records each file that is written and each address that is contacted, with the importers.
WATCH = """\
import os, sys

class Watch:
    WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    CHANGES = {
        "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.chmod": 0,
        "os.rename": 1, "os.link": 1, "os.symlink": 1, "shutil.copyfile": 1, "shutil.move": 1,
        "sqlite3.connect": 0,
    }
    # Index of the argument with the folder that a relative path starts from; -1 means none.
    FOLDERS = {
        "os.mkdir": 2, "os.remove": 1, "os.rmdir": 1, "os.chmod": 2,
        "os.rename": 3, "os.link": 3, "os.symlink": 2,
    }
    CONTACTS = {
        "socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0,
        "socket.gethostbyname": 0, "urllib.Request": 0, "http.client.connect": 1,
    }

    def __init__(self):
        self.on, self.written, self.contacted, self.started = True, {}, {}, {}
        sys.addaudithook(self.on_event)

    def on_event(self, event, args):
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
        elif event in self.CONTACTS:
            address = args[self.CONTACTS[event]]
            local = event in {"socket.connect", "socket.sendto"}
            if not (local and isinstance(address, (str, bytes))):  # a socket on this machine
                self.keep(self.contacted, f"{event} {address!r}")
        elif event in {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"}:
            self.keep(self.started, repr(args[1] if event == "subprocess.Popen" else args[0]))

    def keep(self, kept, what):
        if what not in kept and len(kept) < 50:
            self.on = False
            kept[what] = importers()
            self.on = True

def watch_cuda(module):
    # Without a GPU, torch refuses to initialise CUDA, so record the attempt. Replace the code and
    # not the function, because other modules already hold references to the function.
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
