"""Checks of the side effects of importing the subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.claims import (
    Metric,
    applies_to,
    foundation,
    imported,
    installed,
    refute,
    reported,
    stack,
    subject,
    subject_modules,
)
from support.entries import ENTRIES
from support.probe import environment, run_fresh
from support.side_effects import LEFTOVERS, MARK, WATCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.observation import Observation

pytestmark = [pytest.mark.reference("huggingface/transformers#40292")]

FOUNDATION = ("accelerate", "torch", "numpy")
CACHES = ("HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME", "TRITON_CACHE_DIR", "TRITON_HOME")

OBSERVED = """\
import resource, sys, threading, time, warnings
# Endless output must end with an error instead of filling the memory.
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))
printed, stdout = os.memfd_create("stdout"), os.dup(1)
os.dup2(printed, 1)
watch = Watch()
recorder.after["torch.cuda"] = watch_cuda
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for entry in ENTRIES:
        began = time.monotonic()
        try:
            enter(entry)
        except Absent:
            if "." not in entry:
                raise
        note({"entry": entry, "seconds": time.monotonic() - began})
sys.stdout.flush()
os.dup2(stdout, 1)
watch.on = False
os.lseek(printed, 0, os.SEEK_SET)
settle(os.environ[MARK], most=2.0)
torch = sys.modules.get("torch")
roots = tuple(os.path.dirname(sys.modules[top].__file__ or "") for top in TOPS)
report({
    "threads": [thread.name for thread in threads_left()],
    "processes": processes_left(os.environ[MARK]),
    "cuda": bool(torch and torch.cuda.is_initialized()),
    "cuda_tried": getattr(torch and torch.cuda, "_matrixci_tried", []),
    "stdout": [os.fstat(printed).st_size, os.read(printed, 500).decode(errors="replace")],
    "written": watch.written,
    "contacted": watch.contacted,
    "started": watch.started,
    "warnings": [f"{each.category.__name__}: {each.message}" for each in warned
                 if each.filename.startswith(roots)],
    "modules": len(recorder.executed),
})
"""


@dataclass(frozen=True)
class Watched:
    """Observation of importing the subject first, in a fresh interpreter, and its folders."""

    observation: Observation
    home: Path
    scratch: Path
    work: Path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Return the observation of a fresh interpreter that imports the subject first."""
    folders = [tmp_path_factory.mktemp(name) for name in ("home", "scratch", "work")]
    home, scratch, work = folders
    entries = [*ENTRIES, *(name for name in FOUNDATION if installed(name))]
    constants = f"ENTRIES, TOPS, MARK = {entries!r}, {subject_modules()!r}, {MARK!r}"
    mark = {MARK: str(work), "HOME": str(home), "TMPDIR": str(scratch)}
    observation = run_fresh(
        f"{LEFTOVERS}\n{WATCH}\n{constants}\n{OBSERVED}",
        environment=environment({**mark, **dict.fromkeys(CACHES)}),
        folder=work,
    )
    return Watched(observation, *folders)


def script(show: str) -> str:
    """Return a script with the same imports that then shows a side effect."""
    statements = [f"import {name}" for name in FOUNDATION if installed(name)]
    roots = sorted({entry.partition(".")[0] for entry in ENTRIES})
    return "\n".join([*(f"from {root} import *" for root in roots), *statements, show])


def none_of(watched: Watched, what: str, *, expected: str, show: str) -> None:
    """Fail the check if side effects of a kind were observed."""
    observation = reported(watched.observation, expected="the subject can be imported")
    if found := observation.value[what]:
        refute(expected=expected, seen=listed(found), script=script(show))


def listed(found: Sequence[str] | dict[str, Sequence[str]]) -> str:
    """Return one line for each side effect, with the modules that caused it if they are known."""
    if not isinstance(found, dict):
        return "\n".join(found)
    return "\n".join(
        f"{what}\n    by {' > '.join(list(chain)[-4:]) or 'itself'}"
        for what, chain in found.items()
    )


def test_subject_is_imported_first(watched: Watched, metric: Metric) -> None:
    """The subject can be imported before accelerate, torch and NumPy."""
    expected = f"{', '.join(ENTRIES)} can be imported first, and the process exits 0"
    observation = reported(watched.observation, expected=expected, script=script("print('done')"))
    metric("import_seconds", sum(note["seconds"] for note in observation.notes))
    metric("import_peak_mib", observation.peak_mib)
    metric("modules_executed", observation.value["modules"])
    metric("processes_started", len(observation.value["started"]))
    # Warnings from the subject's own modules, on which `python -W error` would stop: not judged.
    metric("own_warnings", len(observation.value["warnings"]))


def test_subject_is_imported_last(metric: Metric) -> None:
    """The subject can be imported after NumPy, torch and accelerate."""
    for entry in stack().preloaded:
        imported(entry)
    if stack().failure is not None:
        imported(*subject_modules())
    for entry, loaded in stack().preloaded.items():
        metric(f"import_{entry.replace('.', '_')}_seconds", loaded.seconds)


@pytest.mark.parametrize("first", ["accelerate", "torch"])
def test_import_order_does_not_matter(first: str) -> None:
    """The subject can be imported after any of its dependencies."""
    applies_to(first)
    if first == subject():
        pytest.skip(f"{first} is the subject, whose import order other checks cover")
    then = [name for name in (*ENTRIES[:2], *FOUNDATION) if installed(name) or name in ENTRIES]
    source = f"import {first}\nfor entry in {then!r}:\n    enter(entry)\nreport('imported')"
    expected = f"{', '.join(then)} can be imported after {first}"
    lines = "\n".join(f"import {name}" for name in [first, *subject_modules()])
    began_with = next(iter(foundation().preloaded), "")
    if first == began_with:
        observation = foundation().run(source)
    else:
        observation = run_fresh(source, environment=environment())
    reported(observation, expected=expected, script=lines)


def test_import_leaves_no_thread(watched: Watched) -> None:
    """Importing the subject leaves no thread running."""
    show = "import threading; print(threading.enumerate())"
    none_of(watched, "threads", expected="no thread is running after the import", show=show)


def test_import_leaves_no_process(watched: Watched) -> None:
    """Importing the subject leaves no process running."""
    show = "import os; os.system('ps f')"
    none_of(watched, "processes", expected="no process is running after the import", show=show)


def test_import_does_not_initialise_cuda(watched: Watched) -> None:
    """Importing the subject does not initialise CUDA."""
    applies_to("torch")
    observation = reported(watched.observation, expected="the subject can be imported")
    if observation.value["cuda"]:
        show = "print(torch.cuda.is_initialized())"
        refute(
            expected="torch.cuda.is_initialized() is False", seen="it is True", script=script(show)
        )
    if tried := observation.value["cuda_tried"]:
        show = "# patch torch.cuda._lazy_init to print its callers"
        expected = "nothing calls torch.cuda._lazy_init()"
        refute(expected=expected, seen="it was called", chain=tried[0], script=script(show))


def test_import_uses_no_network(watched: Watched) -> None:
    """Importing the subject opens no connection and resolves no host name."""
    show = "# run it under: strace -f -e trace=network"
    none_of(watched, "contacted", expected="the import does not use the network", show=show)


def test_import_prints_nothing(watched: Watched) -> None:
    """Importing the subject prints nothing to standard output."""
    observation = reported(watched.observation, expected="the subject can be imported")
    size, beginning = observation.value["stdout"]
    if size:
        seen = f"{size:,} bytes were printed, starting with {beginning!r}"
        refute(expected="the import prints nothing", seen=seen, script=script(""))


def test_import_writes_only_to_caches(watched: Watched) -> None:
    """Importing the subject writes only to caches and the temporary folder."""
    observation = reported(watched.observation, expected="the subject can be imported")
    allowed = (
        *(f"{place}/" for place in ("/dev", "/proc", watched.scratch, watched.home / ".cache")),
        *(str(watched.home / name) for name in (".cache", ".triton")),
    )
    written = observation.value["written"]
    found = {place: by for place, by in written.items() if not place.startswith(allowed)}
    # Files written without Python are found in the folders.
    for folder in (watched.home, watched.work):
        for path in folder.rglob("*"):
            if not str(path).startswith(allowed):
                found.setdefault(str(path), ())
    if found:
        expected = f"writes only to {watched.home}/.cache and {watched.scratch}"
        refute(
            expected=expected,
            seen=listed(found),
            script=script("# compare HOME and this folder before and after"),
        )
