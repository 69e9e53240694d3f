"""What an import does beside importing: to its process, its machine, and whoever comes after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from aftermath import AFTERMATH, MARK, WATCH
from claims import (
    Figure,
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
from isolation import ENTRIES
from probe import Observation, environment, run_fresh

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [pytest.mark.reference("huggingface/transformers#40292")]

FOUNDATION = ("accelerate", "torch", "numpy")
CACHES = ("HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME", "TRITON_CACHE_DIR", "TRITON_HOME")

OBSERVED = """\
import resource, sys, threading, time, warnings
# A flood of output ends as an error, and not in all of the memory.
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
    "threads": [one.name for one in threads_left()],
    "processes": processes_left(os.environ[MARK]),
    "cuda": bool(torch and torch.cuda.is_initialized()),
    "cuda_tried": getattr(torch and torch.cuda, "_matrixci_tried", []),
    "stdout": [os.fstat(printed).st_size, os.read(printed, 500).decode(errors="replace")],
    "written": watch.written,
    "spoken": watch.spoken,
    "started": watch.started,
    "warnings": [f"{one.category.__name__}: {one.message}" for one in warned
                 if one.filename.startswith(roots)],
    "modules": len(recorder.executed),
})
"""


@dataclass(frozen=True)
class Watched:
    """The import of everything in a fresh interpreter, subject first, and where it lived."""

    observation: Observation
    home: Path
    scratch: Path
    work: Path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Return what a fresh interpreter came to that imports the subject before what it stands on."""
    folders = [tmp_path_factory.mktemp(name) for name in ("home", "scratch", "work")]
    home, scratch, work = folders
    entries = [*ENTRIES, *(name for name in FOUNDATION if installed(name))]
    constants = f"ENTRIES, TOPS, MARK = {entries!r}, {subject_modules()!r}, {MARK!r}"
    mark = {MARK: str(work), "HOME": str(home), "TMPDIR": str(scratch)}
    observation = run_fresh(
        f"{AFTERMATH}\n{WATCH}\n{constants}\n{OBSERVED}",
        environment=environment({**mark, **dict.fromkeys(CACHES)}),
        folder=work,
    )
    return Watched(observation, *folders)


def script(show: str) -> str:
    """Return a script that does in essence what the fresh interpreter does, and shows something."""
    statements = [f"import {name}" for name in FOUNDATION if installed(name)]
    roots = sorted({entry.partition(".")[0] for entry in ENTRIES})
    return "\n".join([*(f"from {root} import *" for root in roots), *statements, show])


def none_of(watched: Watched, what: str, *, expected: str, show: str) -> None:
    """Assert that a list of what was seen is empty."""
    observation = reported(watched.observation, expected="the subject can be imported")
    if found := observation.value[what]:
        refute(expected=expected, seen=listed(found), script=script(show))


def listed(found: Sequence[str] | dict[str, Sequence[str]]) -> str:
    """Return one line for each thing found, with who did it where that is known."""
    if not isinstance(found, dict):
        return "\n".join(found)
    return "\n".join(
        f"{what}\n    by {' > '.join(list(chain)[-4:]) or 'itself'}"
        for what, chain in found.items()
    )


def test_subject_is_imported_first(watched: Watched, figure: Figure) -> None:
    """The subject can be imported before accelerate, torch and NumPy, and the process ends well."""
    expected = f"{', '.join(ENTRIES)} can be imported first, and the process exits 0"
    observation = reported(watched.observation, expected=expected, script=script("print('done')"))
    figure("import_seconds", sum(note["seconds"] for note in observation.notes))
    figure("import_peak_mib", observation.peak_mib)
    figure("modules_executed", observation.value["modules"])
    figure("processes_started", len(observation.value["started"]))
    # What `python -W error` would stop at in the subject's own modules: told, and not judged.
    figure("own_warnings", len(observation.value["warnings"]))


def test_subject_is_imported_last(figure: Figure) -> None:
    """The subject can be imported after NumPy, torch and accelerate, in this order."""
    for entry in stack().preloaded:
        imported(entry)
    if stack().failure is not None:
        imported(*subject_modules())
    for entry, loaded in stack().preloaded.items():
        figure(f"import_{entry.replace('.', '_')}_seconds", loaded.seconds)


@pytest.mark.parametrize("first", ["accelerate", "torch"])
def test_import_order_does_not_matter(first: str) -> None:
    """The subject can be imported after any one of the packages that it stands on."""
    applies_to(first)
    if first == subject():
        pytest.skip(f"{first} is the subject: it is imported first and last elsewhere")
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
    """Importing the subject leaves no Python thread running."""
    show = "import threading; print(threading.enumerate())"
    none_of(watched, "threads", expected="no thread outlives the import", show=show)


def test_import_leaves_no_process(watched: Watched) -> None:
    """Importing the subject leaves no process running."""
    show = "import os; os.system('ps f')"
    none_of(watched, "processes", expected="no process outlives the import", show=show)


def test_import_does_not_initialise_cuda(watched: Watched) -> None:
    """Importing the subject initialises no CUDA context."""
    applies_to("torch")
    observation = reported(watched.observation, expected="the subject can be imported")
    if observation.value["cuda"]:
        show = "print(torch.cuda.is_initialized())"
        refute(
            expected="torch.cuda.is_initialized() is False", seen="it is True", script=script(show)
        )
    if tried := observation.value["cuda_tried"]:
        show = "# with torch.cuda._lazy_init made to print where it is called from"
        expected = "nothing of torch.cuda is used that initialises CUDA"
        refute(expected=expected, seen="it was tried", chain=tried[0], script=script(show))


def test_import_uses_no_network(watched: Watched) -> None:
    """Importing the subject opens no connection and looks up no name."""
    show = "# run it under: strace -f -e trace=network"
    none_of(watched, "spoken", expected="the import touches no network", show=show)


def test_import_prints_nothing(watched: Watched) -> None:
    """Importing the subject prints nothing to the standard output."""
    observation = reported(watched.observation, expected="the subject can be imported")
    size, beginning = observation.value["stdout"]
    if size:
        seen = f"{size:,} bytes were printed, which begin with {beginning!r}"
        refute(expected="the output of the user's program is its own", seen=seen, script=script(""))


def test_import_writes_only_to_caches(watched: Watched) -> None:
    """Importing the subject writes nothing outside of its cache and the scratch folder."""
    observation = reported(watched.observation, expected="the subject can be imported")
    allowed = (
        *(f"{place}/" for place in ("/dev", "/proc", watched.scratch, watched.home / ".cache")),
        *(str(watched.home / name) for name in (".cache", ".triton")),
    )
    written = observation.value["written"]
    found = {place: by for place, by in written.items() if not place.startswith(allowed)}
    # What was written past Python is seen in the folders themselves.
    for folder in (watched.home, watched.work):
        for path in folder.rglob("*"):
            if not str(path).startswith(allowed):
                found.setdefault(str(path), ())
    if found:
        expected = f"nothing is written but in {watched.home}/.cache and {watched.scratch}"
        refute(expected=expected, seen=listed(found), script=script("# look at HOME and here"))
