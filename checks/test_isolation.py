"""Import isolation: a framework that is switched off stays out, however broken it is.

Each setting is probed jointly first: one fresh interpreter in front of believable decoys imports
every entry. Only where that shows something is each entry probed apart, so that a clean subject
costs one start of an interpreter, and a dirty one is told entry by entry with its importers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from claims import (
    Figure,
    applies_to,
    foundation,
    imported,
    installed,
    refute,
    reported,
    seen_of,
    stack,
    subject,
    subject_modules,
)
from decoy import BELIEVED, VERSION, Manner, make_decoys
from probe import Interpreter, Observation, environment, run_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REFERENCE = "huggingface/transformers#40292"
pytestmark = [pytest.mark.reference(REFERENCE)]

TRANSFORMERS = [
    "transformers",
    "transformers.Trainer",
    "transformers.pipeline",
    "transformers.AutoModel",
    "transformers.image_transforms",
    "transformers.loss.loss_utils",
    "transformers.integrations.integration_utils",
]
USES = {  # statements that stand for what users go on to do; told like an entry
    "AutoModel.from_config": (
        "from transformers import AutoModel, BertConfig\n"
        "AutoModel.from_config(BertConfig(hidden_size=8, num_hidden_layers=1,"
        " num_attention_heads=1, intermediate_size=8, vocab_size=8))"
    )
}
OWN = subject() == "transformers"
ENTRIES = TRANSFORMERS if OWN else subject_modules()
STATEMENTS = USES if OWN else {}
EVERYTHING = [*ENTRIES, *STATEMENTS]
TENSORFLOW = ("tensorflow",)
JAX = ("jax", "jaxlib", "flax")
TENSORFLOW_OFF = ("USE_TF=0", "TRANSFORMERS_NO_TF=1")
JAX_OFF = "USE_FLAX=0"

EACH = """\
note({"doubts": believed(FOLDER, NAMES)})
for entry in ENTRIES:
    how = {"entry": entry, "absent": None, "error": None}
    try:
        exec(STATEMENTS[entry]) if entry in STATEMENTS else enter(entry)
    except Absent as error:
        how["absent"] = str(error)
    except Exception as error:
        how["error"] = f"{type(error).__name__}: {error}"
    note({**how, "executed": sorted(recorder.chains), "seen": recorder.seen()})
if CONTROL and not recorder.seen():
    enter(NAMES[0])
    note({"control": NAMES[0] in recorder.chains})
    recorder.chains.clear()
report("all entered")
"""


@dataclass(frozen=True)
class Entered:
    """What the import of one entry came to, in front of decoys."""

    entry: str
    ending: str = ""  # how the probe ended, where it didn't get past this entry
    absent: str | None = None
    error: str | None = None
    executed: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """The entry was imported, and nothing else came with it."""
        return not (self.ending or self.error or self.executed or self.seen)


class Decoyed:
    """Probes in front of decoys, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[tuple[str, Manner, str], Observation] = {}

    def together(
        self, setting: str, names: tuple[str, ...], manner: Manner = Manner.INERT
    ) -> list[Entered]:
        """Return what all entries came to, imported in one interpreter one after the other."""
        return self._entered(setting, names, manner, EVERYTHING)

    def apart(self, setting: str, names: tuple[str, ...], entry: str) -> Entered:
        """Return what one entry came to in an interpreter of its own, if all together weren't."""
        together = self.together(setting, names)
        first = next((one for one in together if not one.clean), None)
        if first is None:
            return next(one for one in together if one.entry == entry)
        if first.entry == entry:  # the ones before it were clean: this is its own evidence
            return first
        return self._entered(setting, names, Manner.INERT, [entry])[0]

    def _entered(
        self, setting: str, names: tuple[str, ...], manner: Manner, entries: list[str]
    ) -> list[Entered]:
        key = (setting, manner, " ".join(entries))
        if key not in self.made:
            self.made[key] = self._observe(setting, names, manner, entries)
        sound(self.made[key])
        return list(entered(self.made[key], entries))

    def _observe(
        self, setting: str, names: tuple[str, ...], manner: Manner, entries: list[str]
    ) -> Observation:
        folder = self.folder / f"{names[0]}-{manner.name}"
        if not folder.exists():
            make_decoys(folder, *names, manner=manner)
        inert = manner is Manner.INERT
        constants = f"""\
FOLDER, NAMES, ENTRIES = {str(folder)!r}, {names!r}, {entries!r}
STATEMENTS, CONTROL = {STATEMENTS!r}, {inert}
"""
        source = f"{BELIEVED}\n{constants}\n{EACH}"
        switch = dict([setting.split("=", 1)])
        # The claim itself starts from nothing; the rest from what lies below the subject.
        if inert and setting in TENSORFLOW_OFF and entries is EVERYTHING:
            return run_fresh(source, environment=environment(switch), paths=[folder])
        return base().run(source, environment=switch, paths=[folder])


def entered(observation: Observation, entries: list[str]) -> Iterator[Entered]:
    """Yield what each entry came to, also those that the probe didn't get to."""
    notes = [note for note in observation.notes if "entry" in note]
    for note in notes:
        last = len(notes) == len(entries) and note is notes[-1]
        yield Entered(
            note["entry"],
            # Every entry was imported, and the process ended badly after it.
            ending=seen_of(observation) if last and not observation.well else "",
            absent=note["absent"],
            error=note["error"],
            executed=tuple(note["executed"]),
            seen=tuple(note["seen"]),
            chains=observation.chains,
        )
    ending = seen_of(observation)
    for entry in entries[len(notes) :]:
        yield Entered(entry, ending, chains=observation.chains)
        ending = "was not reached: the import before it took the interpreter down"


def base() -> Interpreter:
    """Return the interpreter with the foundation; the claim fails where there is none."""
    if (failure := foundation().failure) is not None:
        refute(expected="what lies below the subject can be imported", seen=failure)
    return foundation()


def sound(observation: Observation) -> None:
    """Assert that the probe could have seen what it is to see: the decoys were believed."""
    told: dict[str, Any] = {}
    for note in observation.notes:
        told.update({key: note[key] for key in ("doubts", "control") if key in note})
    if "doubts" not in told:
        refute(expected="the probe looks at its decoys first", seen=seen_of(observation))
    if told["doubts"]:
        refute(expected="the decoy is believed", seen="\n".join(told["doubts"]))
    if not told.get("control", True):
        refute(expected="the probe notices the execution of a decoy", seen="it noticed none")


@pytest.fixture(scope="module")
def decoyed(tmp_path_factory: pytest.TempPathFactory) -> Decoyed:
    """Return the probes in front of decoys."""
    return Decoyed(tmp_path_factory.mktemp("decoys"))


def smallest_script(entry: str, names: tuple[str, ...], body: str = "") -> str:
    """Return a script that imports an entry in front of a decoy that it makes itself."""
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


def stays_out(decoyed: Decoyed, setting: str, names: tuple[str, ...], entry: str) -> None:
    """Assert that none of the named frameworks is executed by the import of an entry."""
    seen = decoyed.apart(setting, names, entry)
    if seen.absent is not None and "." in entry:  # the subject itself must be there
        pytest.skip(f"the installed release has no {entry}: {seen.absent}")
    if seen.absent is None and seen.clean:
        return
    said = [f"executed: {', '.join(seen.executed or seen.chains or seen.seen) or 'none of them'}"]
    said += [text for text in (seen.absent, seen.ending, seen.error) if text]
    refute(
        expected=f"{entry} is imported under {setting} and executes none of {', '.join(names)}",
        seen="\n".join(said),
        chain=next(iter(seen.chains.values()), ()),
        script=smallest_script(entry, names),
        command=f"{setting} python",
    )


@pytest.mark.parametrize("entry", EVERYTHING)
@pytest.mark.parametrize("setting", TENSORFLOW_OFF)
def test_tensorflow_stays_out(decoyed: Decoyed, setting: str, entry: str) -> None:
    """TensorFlow stays out when it is switched off."""
    stays_out(decoyed, setting, TENSORFLOW, entry)


@pytest.mark.parametrize("entry", EVERYTHING)
def test_jax_stays_out(decoyed: Decoyed, entry: str) -> None:
    """JAX and Flax stay out when they are switched off."""
    stays_out(decoyed, JAX_OFF, JAX, entry)


@pytest.mark.parametrize(
    "manner",
    [
        pytest.param(Manner.RAISES_NUMPY_ABI, id="numpy-abi-error"),
        pytest.param(Manner.ABORTS, id="abort"),
    ],
)
def test_broken_tensorflow_does_no_harm(decoyed: Decoyed, manner: Manner) -> None:
    """A broken TensorFlow that is switched off doesn't keep the subject from being imported."""
    setting = TENSORFLOW_OFF[0]
    for one in decoyed.together(setting, TENSORFLOW, manner):
        if not one.clean:
            refute(
                expected=f"{one.entry} is imported under {setting} beside a TensorFlow that "
                f"{manner.value}",
                seen=one.ending or one.error or f"executed: {', '.join(one.executed)}",
                chain=next(iter(one.chains.values()), ()),
                script=smallest_script(one.entry, TENSORFLOW, "__import__('os').abort()"),
                command=f"{setting} python",
            )


BACKWARD = """\
import sys, threading, time
for entry in ENTRIES:
    began = time.monotonic()
    try:
        enter(entry)
    except Absent:
        if "." not in entry:
            raise
    note({"entry": entry, "seconds": time.monotonic() - began})
torch = sys.modules.get("torch")
report({
    "threads": [one.name for one in threading.enumerate() if one is not threading.main_thread()],
    "cuda": bool(torch and torch.cuda.is_initialized()),
})
"""
FOUNDATION = ("accelerate", "torch", "numpy")


@pytest.fixture(scope="module")
def backward() -> Observation:
    """Return what a fresh interpreter came to that imports the subject before what it stands on."""
    entries = [*ENTRIES, *(name for name in FOUNDATION if installed(name))]
    source = f"ENTRIES = {entries!r}\n{BACKWARD}"
    return run_fresh(source, environment=environment())


def backward_script() -> str:
    """Return the script that the fresh interpreter executes in essence."""
    statements = [f"import {name}" for name in FOUNDATION if installed(name)]
    roots = sorted({entry.partition(".")[0] for entry in ENTRIES})
    last = "import threading; print(threading.enumerate())"
    return "\n".join([*(f"from {root} import *" for root in roots), *statements, last])


def test_subject_is_imported_first(backward: Observation, figure: Figure) -> None:
    """The subject can be imported before accelerate, torch and NumPy, and the process ends well."""
    expected = f"{', '.join(ENTRIES)} can be imported first, and the process exits 0"
    reported(backward, expected=expected, script=backward_script())
    figure("import_seconds", sum(note["seconds"] for note in backward.notes))
    figure("import_peak_mib", backward.peak_mib)


def test_subject_is_imported_last(figure: Figure) -> None:
    """The subject can be imported after NumPy, torch and accelerate, in this order."""
    for entry in stack().preloaded:
        imported(entry)
    if stack().failure is not None:
        imported(*subject_modules())
    for entry, loaded in stack().preloaded.items():
        figure(f"import_{entry.replace('.', '_')}_seconds", loaded.seconds)


def test_import_leaves_no_thread(backward: Observation) -> None:
    """Importing the subject leaves no Python thread running."""
    observation = reported(backward, expected="the subject can be imported")
    if threads := observation.value["threads"]:
        refute(
            expected="no thread outlives the import", seen=str(threads), script=backward_script()
        )


def test_import_leaves_cuda_alone(backward: Observation) -> None:
    """Importing the subject initialises no CUDA context."""
    applies_to("torch")
    observation = reported(backward, expected="the subject can be imported")
    if observation.value["cuda"]:
        script = backward_script() + "\nprint(torch.cuda.is_initialized())"
        refute(expected="torch.cuda.is_initialized() is False", seen="it is True", script=script)
