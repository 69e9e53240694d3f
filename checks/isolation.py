"""Probes in front of decoys: which frameworks the import or the use of the subject executes.

Each setting is probed jointly first: one interpreter, which has imported what lies below the
subject and nothing of it, enters everything in front of believable decoys. Only where that shows
something is each entry probed apart, so that a clean subject costs one fork, and a dirty one is
told entry by entry with its importers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aftermath import AFTERMATH, MARK
from claims import (
    foundation,
    installed,
    listed_entries,
    refute,
    seen_of,
    subject,
    subject_modules,
)
from decoy import BELIEVED, SEEN, VERSION, WITNESSED, Manner, make_decoys
from tiny import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from probe import Interpreter, Observation

OWN = subject() == "transformers"
TRANSFORMERS = [
    "transformers",
    "transformers.Trainer",
    "transformers.pipeline",
    "transformers.AutoModel",
    "transformers.image_transforms",
    "transformers.loss.loss_utils",
    "transformers.integrations.integration_utils",
]
# What the matrix lists, or else what is known of the subject.
ENTRIES = listed_entries() or (TRANSFORMERS if OWN else subject_modules())

# What users go on to do; each is told like an entry.
USES = {
    "AutoModel.from_config": (
        "from transformers import AutoModel, BertConfig\n"
        "AutoModel.from_config(BertConfig(hidden_size=8, num_hidden_layers=1,"
        " num_attention_heads=1, intermediate_size=8, vocab_size=8))"
    ),
    "pipeline()": f"""\
{TINY}
tiny_model().save_pretrained("tiny")
tiny_tokenizer().save_pretrained("tiny")
AutoModel.from_pretrained("tiny")
AutoTokenizer.from_pretrained("tiny")
pipeline("text-classification", model="tiny", tokenizer="tiny", device="cpu")("a good day")
""",
    "Trainer.train": f"""\
{TINY}
data = [{{"input_ids": [5, 5], "attention_mask": [1, 1], "labels": 1}}] * 4
arguments = TrainingArguments(
    "out", report_to=[], use_cpu=True, max_steps=1, save_strategy="no", disable_tqdm=True
)
Trainer(model=tiny_model(), args=arguments, train_dataset=data).train()
""",
}
TRAINS = {"Trainer.train": "accelerate"}  # a use to what it needs beside the subject

# Every module directly below the subject, and every name that it exports, apart from a framework's
# own (modeling_tf_utils) and from families of hundreds (the models). What can't be imported for
# want of another package is no matter of this claim.
EVERY_MODULE = "every public module"
WALK = f"""\
import collections, importlib, pkgutil, re, warnings
warnings.simplefilter("ignore")
theirs = re.compile(r"(^|_)(tf\\d?|flax|keras|jax|tensorflow)(_|$)")

def attempt(get, *names):
    try:
        get(*names)
    except Exception:
        pass

for top in {subject_modules()!r}:
    package = importlib.import_module(top)
    for found in pkgutil.iter_modules(getattr(package, "__path__", [])):
        if found.name != "__main__" and not theirs.search(found.name):
            attempt(importlib.import_module, f"{{top}}.{{found.name}}")
            module = sys.modules.get(f"{{top}}.{{found.name}}")
            lazy = hasattr(module, "_class_to_module")  # to ask for a name is to import a module
            for name in () if lazy else getattr(module, "__all__", ()):
                attempt(getattr, module, name)
    places = getattr(package, "_class_to_module", {{}})
    family = lambda name: places.get(name, name).partition(".")[0]
    sizes = collections.Counter(map(family, places))
    for name in dir(package):
        place = places.get(name, "")
        if sizes[family(name)] <= 100 and not theirs.search(place.replace(".", "_")):
            attempt(getattr, package, name)
"""

TENSORFLOW = ("tensorflow", "keras", "tf_keras")
JAX = ("jax", "jaxlib", "flax")
NOTHING = "nothing set"
TENSORFLOW_OFF = ("USE_TF=0", "USE_TORCH=1", "TRANSFORMERS_NO_TF=1")
# Transformers reads the first, Diffusers the second; a TensorFlow that is there is no matter of it.
JAX_OFF = "USE_FLAX=0 USE_JAX=0 USE_TF=0"


def statements() -> dict[str, str]:
    """Return the uses that this cell has the packages for, and the walk."""
    uses = {use: text for use, text in USES.items() if installed(TRAINS.get(use, "torch"))}
    return {**(uses if OWN and installed("tokenizers") else {}), EVERY_MODULE: WALK}


STATEMENTS = statements()
EVERYTHING = [*ENTRIES, *STATEMENTS]
# The checks are the same for every subject; those that make no sense for one say so.
CLAIMED = list(dict.fromkeys([*EVERYTHING, *TRANSFORMERS, *USES]))

EACH = """\
import atexit
note({"doubts": believed(FOLDER, DECOYS)})
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
        atexit._run_exitfuncs()  # what was put off until the end counts as well
    unseen = [one for one in witnessed() if one["name"] not in recorder.chains]
    executed = sorted({*recorder.chains, *(one["name"] for one in unseen)})
    note({**how, "executed": executed, "seen": recorder.seen(), "unseen": unseen})
if CONTROL and DECOYS and not recorder.seen() and not witnessed():
    enter(DECOYS[0])
    noticed = DECOYS[0] in recorder.chains
    note({"control": noticed and DECOYS[0] in [one["name"] for one in witnessed()]})
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
        """Make them in a folder."""
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
        return list(entered(self.made[key], entries, names))

    def _observe(
        self, setting: str, names: tuple[str, ...], manner: Manner, entries: list[str]
    ) -> Observation:
        inert = manner is Manner.INERT
        # Where a framework is really there, it is the real one that has to stay out.
        decoys = tuple(name for name in names if not (inert and find_spec(name)))
        folder = self.folder / "-".join([*decoys, manner.name])
        if not folder.exists():
            folder.mkdir()
            make_decoys(folder, *decoys, manner=manner)
        number = len(self.made)
        work = self.folder / f"work-{number}"
        work.mkdir()
        constants = f"""\
FOLDER, DECOYS, ENTRIES = {str(folder)!r}, {decoys!r}, {entries!r}
STATEMENTS, CONTROL, MARK = {STATEMENTS!r}, {inert}, {MARK!r}
"""
        source = f"{BELIEVED}\n{WITNESSED}\n{AFTERMATH}\n{constants}\n{EACH}"
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        changes: dict[str, str | None] = {
            **switches(setting),
            SEEN: str(self.folder / f"seen-{number}"),
            MARK: f"{os.getpid()}-{number}",
            "PYTHONPATH": os.pathsep.join(paths),  # a process that the import starts finds them too
        }
        return base().run(source, environment=changes, paths=[folder], folder=work)


def switches(setting: str) -> dict[str, str]:
    """Return the variables that a setting sets."""
    return dict(one.split("=", 1) for one in setting.split()) if setting != NOTHING else {}


def entered(
    observation: Observation, entries: list[str], names: tuple[str, ...]
) -> Iterator[Entered]:
    """Yield what each entry came to, also those that the probe didn't get to.

    What else than the named frameworks was executed is the matter of other claims.
    """
    notes = [note for note in observation.notes if "entry" in note]
    chains = {one: by for one, by in observation.chains.items() if one.partition(".")[0] in names}
    for note in notes:
        last = len(notes) == len(entries) and note is notes[-1]
        unseen = {one["name"]: witness_chain(one) for one in note["unseen"]}
        yield Entered(
            note["entry"],
            # Every entry was imported, and the process ended badly after it.
            ending=seen_of(observation) if last and not observation.well else "",
            absent=note["absent"],
            error=note["error"],
            executed=tuple(one for one in note["executed"] if one.partition(".")[0] in names),
            seen=tuple(one for one in note["seen"] if one in names),
            chains={**unseen, **chains},
        )
    ending = seen_of(observation)
    for entry in entries[len(notes) :]:
        yield Entered(entry, ending, chains=chains)
        ending = "was not reached: the import before it took the interpreter down"


def witness_chain(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a decoy itself wrote of how it came to be executed."""
    command = " ".join(one["argv"])
    return (f"process {one['pid']}: {command[:300]}", *one["chain"])


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
