"""Probes with decoys on the path: which frameworks are executed by importing or using the subject.

For each setting, all entries are first imported in one interpreter, which has imported only the
subject's dependencies. Only if that executes a decoy, each entry is probed separately. So a clean
subject costs one fork, and a failure is reported per entry, with the importers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from support.claims import foundation, refute, seen_of
from support.decoys import DETECTED, SEEN, VERSION, WITNESSED, Manner, make_decoys
from support.entries import EVERYTHING, STATEMENTS
from support.side_effects import LEFTOVERS, MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.observation import Observation
    from support.probe import Interpreter

TENSORFLOW = ("tensorflow", "keras", "tf_keras")
JAX = ("jax", "jaxlib", "flax")
NOTHING = "nothing set"
TENSORFLOW_OFF = ("USE_TF=0", "USE_TORCH=1", "TRANSFORMERS_NO_TF=1")
# Transformers reads the first, Diffusers the second; USE_TF=0 keeps an installed TensorFlow out.
JAX_OFF = "USE_FLAX=0 USE_JAX=0 USE_TF=0"


EACH = """\
import atexit
note({"undetected": undetected(FOLDER, DECOYS)})
for entry in ENTRIES:
    how = {"entry": entry, "absent": None, "error": None}
    try:
        exec(STATEMENTS[entry], {"sys": sys}) if entry in STATEMENTS else enter(entry)
    except Absent as error:
        how["absent"] = str(error)
    except Exception as error:
        how["error"] = f"{type(error).__name__}: {error}"
    settle(os.environ[MARK])
    if entry == ENTRIES[-1]:
        atexit._run_exitfuncs()  # what is deferred until the exit counts as well
    unseen = [line for line in witnessed() if line["name"] not in recorder.chains]
    executed = sorted({*recorder.chains, *(line["name"] for line in unseen)})
    note({**how, "executed": executed, "seen": recorder.seen(), "unseen": unseen})
if CONTROL and DECOYS and not recorder.seen() and not witnessed():
    enter(DECOYS[0])
    noticed = DECOYS[0] in recorder.chains
    note({"control": noticed and DECOYS[0] in [line["name"] for line in witnessed()]})
    recorder.chains.clear()
report("all entered")
"""


@dataclass(frozen=True)
class EntryResult:
    """Result of importing one entry with decoys on the path."""

    entry: str
    ending: str = ""  # how the probe ended, if it ended at this entry
    absent: str | None = None
    error: str | None = None
    executed: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether the entry was imported without executing a framework."""
        return not (self.ending or self.error or self.executed or self.seen)


class DecoyProbes:
    """Probes with decoys on the path; each is run once."""

    def __init__(self, folder: Path) -> None:
        """Create the decoys in a folder."""
        self.folder = folder
        self.observations: dict[tuple[str, Manner, str], Observation] = {}

    def together(
        self, setting: str, names: tuple[str, ...], manner: Manner = Manner.INERT
    ) -> list[EntryResult]:
        """Return the results of all entries, imported one after the other in one interpreter."""
        return self._results(setting, names, manner, EVERYTHING)

    def apart(self, setting: str, names: tuple[str, ...], entry: str) -> EntryResult:
        """Return the result of one entry; import it separately if another one is not clean."""
        together = self.together(setting, names)
        first = next((result for result in together if not result.clean), None)
        if first is None:
            return next(result for result in together if result.entry == entry)
        if first.entry == entry:  # the entries before it are clean, so the result is its own
            return first
        return self._results(setting, names, Manner.INERT, [entry])[0]

    def _results(
        self, setting: str, names: tuple[str, ...], manner: Manner, entries: list[str]
    ) -> list[EntryResult]:
        key = (setting, manner, " ".join(entries))
        if key not in self.observations:
            self.observations[key] = self._observe(setting, names, manner, entries)
        assert_detected(self.observations[key])
        return list(entry_results(self.observations[key], entries, names))

    def _observe(
        self, setting: str, names: tuple[str, ...], manner: Manner, entries: list[str]
    ) -> Observation:
        inert = manner is Manner.INERT
        # An installed framework gets no decoy: the real one must not be imported.
        decoys = tuple(name for name in names if not (inert and find_spec(name)))
        folder = self.folder / "-".join([*decoys, manner.name])
        if not folder.exists():
            folder.mkdir()
            make_decoys(folder, *decoys, manner=manner)
        number = len(self.observations)
        work = self.folder / f"work-{number}"
        work.mkdir()
        constants = f"""\
FOLDER, DECOYS, ENTRIES = {str(folder)!r}, {decoys!r}, {entries!r}
STATEMENTS, CONTROL, MARK = {STATEMENTS!r}, {inert}, {MARK!r}
"""
        source = f"{DETECTED}\n{WITNESSED}\n{LEFTOVERS}\n{constants}\n{EACH}"
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        changes: dict[str, str | None] = {
            **switches(setting),
            SEEN: str(self.folder / f"seen-{number}"),
            MARK: f"{os.getpid()}-{number}",
            "PYTHONPATH": os.pathsep.join(paths),  # for processes that the import starts
        }
        return base().run(source, environment=changes, paths=[folder], folder=work)


def switches(setting: str) -> dict[str, str]:
    """Return the environment variables of a setting."""
    return dict(one.split("=", 1) for one in setting.split()) if setting != NOTHING else {}


def entry_results(
    observation: Observation, entries: list[str], names: tuple[str, ...]
) -> Iterator[EntryResult]:
    """Yield the result of each entry, including entries that the probe did not reach.

    Frameworks that are not named are ignored.
    """
    notes = [note for note in observation.notes if "entry" in note]
    chains = {
        module: importers
        for module, importers in observation.chains.items()
        if module.partition(".")[0] in names
    }
    for note in notes:
        last = len(notes) == len(entries) and note is notes[-1]
        unseen = {line["name"]: witness_chain(line) for line in note["unseen"]}
        yield EntryResult(
            note["entry"],
            # All entries were imported, but the process failed at its exit.
            ending=seen_of(observation) if last and not observation.succeeded else "",
            absent=note["absent"],
            error=note["error"],
            executed=tuple(name for name in note["executed"] if name.partition(".")[0] in names),
            seen=tuple(name for name in note["seen"] if name in names),
            chains={**unseen, **chains},
        )
    ending = seen_of(observation)
    for entry in entries[len(notes) :]:
        yield EntryResult(entry, ending, chains=chains)
        ending = "was not reached: an earlier import crashed the interpreter"


def witness_chain(line: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the process and the importers that a decoy recorded."""
    command = " ".join(line["argv"])
    return (f"process {line['pid']}: {command[:300]}", *line["chain"])


def base() -> Interpreter:
    """Return the interpreter with the subject's dependencies; fail the check if it has died."""
    if (failure := foundation().failure) is not None:
        refute(expected="the subject's dependencies can be imported", seen=failure)
    return foundation()


def assert_detected(observation: Observation) -> None:
    """Fail the check if a decoy is not detected, since the probe could not observe its import."""
    values: dict[str, Any] = {}
    for note in observation.notes:
        values.update({key: note[key] for key in ("undetected", "control") if key in note})
    if "undetected" not in values:
        refute(expected="the probe verifies its decoys first", seen=seen_of(observation))
    if values["undetected"]:
        refute(expected="the decoys are detected", seen="\n".join(values["undetected"]))
    if not values.get("control", True):
        refute(expected="the probe records the execution of a decoy", seen="it recorded none")


def smallest_script(entry: str, names: tuple[str, ...], body: str = "") -> str:
    """Return a script that creates decoys, then imports an entry."""
    parent, _, last = entry.rpartition(".")
    statement = f"from {parent} import {last}" if parent else f"import {entry}"
    statement = STATEMENTS.get(entry, statement)
    return f"""\
import atexit, pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
for name in {names!r}:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text({body!r})
    (folder / f"{{name}}-{VERSION}.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {VERSION}\\n"
    (folder / f"{{name}}-{VERSION}.dist-info" / "METADATA").write_text(metadata)
sys.path.insert(0, str(folder))
atexit.register(lambda: print([name for name in {names!r} if name in sys.modules]))
{statement}"""
