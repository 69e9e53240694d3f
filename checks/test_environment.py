"""The environment: what is declared is installed, fits together, and does what it is for."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from claims import (
    Cell,
    Figure,
    applies_to,
    foundation,
    imported,
    installed,
    refute,
    reported,
    subject,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from packaging.requirements import Requirement

# What is declared, and what is there


def normalised(name: str) -> str:
    """Return a distribution's name as locks have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions() -> dict[str, importlib.metadata.Distribution]:
    """Return what is installed, by normalised name; the first on the path counts."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def same_version(one: str, other: str, *, local: bool = True) -> bool:
    """Tell whether two versions are the same one, with or without their local parts."""
    from packaging.version import Version

    first, second = Version(one), Version(other)
    return first == second if local else first.public == second.public


def unmet(requirement: Requirement, there: Mapping[str, str]) -> str | None:
    """Say why a requirement isn't met by what is installed; None where it is."""
    version = there.get(normalised(requirement.name))
    if version is None:
        return f"{requirement}: not installed"
    if requirement.url is None and not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement}: {version} is installed"
    return None


def requirements_of(
    distribution: importlib.metadata.Distribution, extra: str = ""
) -> Iterator[Requirement]:
    """Yield what a distribution requires here: without an extra, or by that extra alone."""
    from packaging.requirements import Requirement

    for text in distribution.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if not extra and always:
            yield requirement
        elif extra and not always and marker is not None and marker.evaluate({"extra": extra}):
            yield requirement


def versions() -> dict[str, str]:
    """Return name to version of what is installed."""
    return {name: distribution.version for name, distribution in distributions().items()}


def own_distribution() -> importlib.metadata.Distribution:
    """Return the subject's distribution."""
    if not installed(subject()):
        refute(expected=f"{subject()} is installed", seen="it is not")
    return importlib.metadata.distribution(subject())


def test_python_is_as_declared(cell: Cell) -> None:
    """The declared Python is the one that runs."""
    runs = f"{sys.version_info.major}.{sys.version_info.minor}"
    declared = cell.axes.get("python")
    if declared is None:
        pytest.skip("the matrix has no axis named python")
    if declared != runs:
        refute(expected=f"Python {declared}", seen=f"Python {runs} at {sys.executable}")


def test_lock_is_installed(cell: Cell) -> None:
    """The locked versions are the installed ones."""
    there = versions()
    wrong = [
        f"{name} {version}: {there.get(normalised(name), 'nothing')} is installed"
        for name, version in cell.lock.items()
        if not same_version(there.get(normalised(name), "0"), version)
    ]
    if not cell.lock:
        refute(expected="the cell has a lock", seen="it is empty")
    if wrong:
        refute(expected="what is installed is what is locked", seen="\n".join(wrong))


def test_declared_requirements_are_met(cell: Cell) -> None:
    """The requirements that the axes declare are met by what is installed."""
    from packaging.requirements import Requirement

    there = versions()
    declared = [Requirement(text) for text in cell.requires]
    here = [one for one in declared if one.marker is None or one.marker.evaluate()]
    wrong = [problem for one in here if (problem := unmet(one, there))]
    if wrong:
        refute(expected=f"{', '.join(cell.requires)}", seen="\n".join(wrong))


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_imported_version_is_the_installed_one(module: str) -> None:
    """What is imported is the version that is installed."""
    applies_to(module)
    interpreter = imported(module)
    observation = reported(
        interpreter.run(f"import {module}\nreport([{module}.__version__, {module}.__file__])"),
        expected=f"{module} has a version",
    )
    seen, file = observation.value
    declared = importlib.metadata.version(module)
    # A build's local part may be in one of the two alone.
    if not same_version(seen, declared, local=False):
        refute(
            expected=f"{module} {declared}, as its distribution says",
            seen=f"{module} {seen} from {file}",
            script=f"import {module}; print({module}.__version__, {module}.__file__)",
        )


def test_torch_build_is_as_declared(cell: Cell) -> None:
    """The build of torch is the one for the cell's device."""
    applies_to("torch")
    source = "import torch\nreport([torch.__version__, torch.version.cuda, torch.version.hip])"
    observation = reported(imported("torch").run(source), expected="torch tells its build")
    version, cuda, hip = observation.value
    seen = f"torch {version}, CUDA {cuda}, ROCm {hip}"
    script = "import torch; print(torch.__version__, torch.version.cuda, torch.version.hip)"
    wanted = wanted_build(cell)
    if wanted == "gpu" and cuda is None and hip is None:
        refute(expected="a build for a GPU", seen=seen, script=script)
    if wanted == "cpu" and (cuda is not None or hip is not None):
        refute(expected="a build for the CPU alone", seen=seen, script=script)
    if wanted not in {"gpu", "cpu", "any"} and wanted != cuda:
        refute(expected=f"a build for CUDA {wanted}", seen=seen, script=script)


def wanted_build(cell: Cell) -> str:
    """Return "cpu", "gpu", "any", or the version of CUDA that the build is to be for."""
    backend = cell.torch_backend
    if backend is None or cell.torch_fallback:  # the default index's build serves any device
        return "gpu" if cell.device == "cuda" else "any"
    if number := re.fullmatch(r"cu(\d+)(\d)", backend):
        return f"{number[1]}.{number[2]}"
    return "cpu" if backend == "cpu" else "gpu"


def test_python_is_in_range() -> None:
    """The Python that runs is one that the subject declares."""
    from packaging.specifiers import SpecifierSet

    declared = own_distribution().metadata["Requires-Python"]
    runs = ".".join(map(str, sys.version_info[:3]))
    if declared and not SpecifierSet(declared).contains(runs, prereleases=True):
        refute(expected=f"Python {declared}, as {subject()} requires", seen=f"Python {runs}")


def test_subject_requirements_are_met() -> None:
    """What the subject requires is installed, in the versions it requires."""
    there = versions()
    wrong = [
        problem
        for requirement in requirements_of(own_distribution())
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(expected=f"the requirements of {subject()} are met", seen="\n".join(wrong))


def test_torch_extra_is_met() -> None:
    """The installed torch and accelerate are in the ranges of the subject's torch extra."""
    there = versions()
    distribution = own_distribution()
    if "torch" not in (distribution.metadata.get_all("Provides-Extra") or []):
        pytest.skip(f"{subject()} has no torch extra")
    requirements = list(requirements_of(distribution, "torch"))
    here = [one for one in requirements if normalised(one.name) in there]
    if not here:
        pytest.skip("nothing of the torch extra is installed")
    if wrong := [problem for one in here if (problem := unmet(one, there))]:
        refute(expected=f"the torch extra of {subject()} is met", seen="\n".join(wrong))


def test_installed_requirements_are_met() -> None:
    """What any installed distribution requires is installed, in the versions it requires."""
    there = versions()
    wrong = [
        f"{name}: {problem}"
        for name, distribution in distributions().items()
        for requirement in requirements_of(distribution)
        if (problem := unmet(requirement, there))
    ]
    if wrong:
        refute(expected="the requirements of all that is installed are met", seen="\n".join(wrong))


ENFORCED = """\
from transformers.dependency_versions_check import pkgs_to_check_at_runtime as enforced
from transformers.dependency_versions_table import deps
report({name: deps[name] for name in enforced if name in deps})
"""


def test_enforced_ranges_hold() -> None:
    """The installed versions are in the ranges that Transformers enforces at import."""
    from packaging.requirements import Requirement

    applies_to("transformers")
    observation = imported("transformers").run(ENFORCED)
    if observation.raised and "ModuleNotFoundError" in observation.raised.bases:
        pytest.skip("the installed release has no table of the ranges that it enforces")
    reported(observation, expected="the release tells which ranges it enforces")
    runs = {"python": ".".join(map(str, sys.version_info[:3]))}
    there = {**versions(), **runs}
    requirements = [Requirement(text) for text in observation.value.values()]
    optional = {"accelerate", "tokenizers"}  # the release looks at them only if they are there
    wrong = [
        problem
        for one in requirements
        if not (one.name in optional and one.name not in there) and (problem := unmet(one, there))
    ]
    if not requirements:
        refute(expected="the release enforces at least one range", seen="its table is empty")
    if wrong:
        refute(expected="the enforced ranges hold", seen="\n".join(wrong), script=ENFORCED)


# The bridge between NumPy and torch

DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("complex64", "complex128", "uint16", "uint32", "uint64"),
)

BRIDGE = """\
import numpy as np, torch

def array(name):
    dtype = np.dtype(name)
    if dtype.kind == "b":
        values = [True, False, True, True, False, True]
    elif dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = [info.min, info.max, 0, 1, 2, info.max // 2]
    else:
        info = np.finfo(dtype)
        values = [0.0, -1.5, float(info.max), float(info.tiny), float("inf"), 0.25]
        if dtype.kind == "c":
            values = [value * 1j if value == 0.25 else value for value in values]
    return np.array(values, dtype=dtype)

def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)

problems = []

def hold(what, there, back):
    if not same(np.asarray(there), np.asarray(back)):
        problems.append(f"{what}: {there!r} came back as {back!r}")
"""

BOTH_WAYS = """\
if not hasattr(torch, NAME):
    report({"lacks": f"torch has no {NAME}"})
else:
    base = array(NAME)
    shapes = {
        "a vector": base,
        "a matrix": base.reshape(2, 3),
        "a scalar": np.array(base[1]),
        "nothing": base[:0],
        "every second": base[::2],
        "a transposed matrix": base.reshape(2, 3).T,
    }
    for shape, there in shapes.items():
        hold(f"torch.tensor() of {shape}", there, torch.tensor(there).numpy())
        hold(f"torch.from_numpy() of {shape}", there, torch.from_numpy(there).numpy())
        hold(f"torch.as_tensor() of {shape}", there, torch.as_tensor(there).numpy())
        hold(f"np.asarray() of a tensor of {shape}", there, np.asarray(torch.tensor(there)))
        if torch.tensor(there).dtype is not getattr(torch, NAME):
            problems.append(f"torch.tensor() of {shape}: its dtype is {torch.tensor(there).dtype}")
    shared = base.copy()
    torch.from_numpy(shared)[0] = 1
    if shared[0] != 1:
        problems.append("torch.from_numpy(): the memory is not shared")
    report({"problems": problems})
"""

ACROSS = """\
for name in NAMES:
    if hasattr(torch, name):
        there = array(name).reshape(2, 3)
        hold(f"{name} by way of {DEVICE}", there, torch.from_numpy(there).to(DEVICE).cpu().numpy())
        strided = torch.from_numpy(there).to(DEVICE).T
        hold(f"{name} transposed on {DEVICE}", there.T, strided.cpu().numpy())
report({"problems": problems})
"""


def bridged(source: str, script: str) -> Mapping[str, Any]:
    """Return what came of the bridge; the claim fails where something didn't come back."""
    applies_to("numpy", "torch")
    expected = "arrays come back with the same values, shape and dtype"
    observation = imported("numpy", "torch").run(f"{BRIDGE}{source}")
    value: dict[str, Any] = reported(observation, expected=expected, script=script).value
    if value.get("problems"):
        refute(expected=expected, seen="\n".join(value["problems"]), script=script)
    return value


@pytest.mark.parametrize("dtype", DTYPES)
def test_bridge_both_ways(dtype: str) -> None:
    """NumPy and torch exchange arrays both ways without loss."""
    script = (
        "import numpy, torch\n"
        f"array = numpy.ones(3, dtype={dtype!r})\n"
        "print(torch.tensor(array), torch.from_numpy(array), torch.tensor(array).numpy())"
    )
    if lacks := bridged(f"NAME = {dtype!r}\n{BOTH_WAYS}", script).get("lacks"):
        pytest.skip(lacks)


def test_bridge_from_device(device: str) -> None:
    """NumPy and torch exchange arrays by way of the cell's device without loss."""
    script = f"import torch; print(torch.ones(2, 3).to({device!r}).T.cpu().numpy())"
    names = [name for name in DTYPES if name not in {"uint16", "uint32", "uint64"}]
    bridged(f"NAMES, DEVICE = {names!r}, {device!r}\n{ACROSS}", script)


# What it is for

TINY = """\
import json, pathlib, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertConfig,
    PreTrainedTokenizerFast, Trainer, TrainingArguments, pipeline,
)
torch.set_num_threads(1)
torch.manual_seed(0)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "day", "very", "a"]
config = BertConfig(
    vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=32, max_position_embeddings=16, num_labels=2, initializer_range=0.1,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)

def tiny_tokenizer():
    vocabulary = {word: index for index, word in enumerate(words)}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ["pad", "unk", "cls", "sep", "mask"]
    special = {f"{name}_token": f"[{name.upper()}]" for name in names}
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, model_input_names=["input_ids", "attention_mask"], **special
    )

def tiny_model():
    return AutoModelForSequenceClassification.from_config(config).eval()
"""
SENTENCES = '["a very good day", "bad day", "a surprise"]'


def tried(
    source: str,
    folder: Path,
    *,
    expected: str,
    environment: Mapping[str, str | None] | None = None,
    finalise: bool = False,
) -> Any:  # noqa: ANN401 - what the snippet reported
    """Return what a snippet about the tiny model reported; the claim fails where it didn't."""
    applies_to("transformers", "tokenizers", "torch")
    interpreter = imported("transformers", "transformers.Trainer", "transformers.pipeline")
    script = TINY + source.replace("report(", "print(")
    observation = interpreter.run(
        TINY + source, folder=folder, environment=environment, finalise=finalise
    )
    return reported(observation, expected=expected, script=script).value


def agreed(problems: list[str], source: str, *, expected: str) -> None:
    """Assert that a snippet found nothing to object to."""
    if problems:
        script = TINY + source.replace("report(", "print(")
        refute(expected=expected, seen="\n".join(problems), script=script)


TOKENIZER = f"""\
tokenizer = tiny_tokenizer()
tokenizer.save_pretrained("tiny")
loaded = AutoTokenizer.from_pretrained("tiny")
problems = []
for text in {SENTENCES}:
    one, other = tokenizer(text)["input_ids"], loaded(text)["input_ids"]
    wanted = [words.index(word) if word in words else 1 for word in text.split()]
    if not one == other == wanted:
        problems.append(f"{{text!r}}: {{one}} before, {{other}} after, and it should be {{wanted}}")
batch = loaded({SENTENCES}, padding=True, return_tensors="pt")
if batch["attention_mask"].sum(dim=1).tolist() != [4, 2, 2]:
    problems.append(f"padding: {{batch['attention_mask'].tolist()}}")
if loaded.decode(loaded("bad day")["input_ids"]) != "bad day":
    problems.append(f"decode: {{loaded.decode(loaded('bad day')['input_ids'])!r}}")
report(problems)
"""


def test_tokenizer_round_trip(tmp_path: Path) -> None:
    """A tokenizer that was saved and loaded gives the same tokens."""
    expected = "the tokens are the same before and after"
    agreed(tried(TOKENIZER, tmp_path, expected=expected), TOKENIZER, expected=expected)


MODEL = """\
model = tiny_model()
model.save_pretrained("tiny")
files = sorted(file.name for file in pathlib.Path("tiny").iterdir())
problems = []
if "model.safetensors" not in files:
    problems.append(f"no safetensors file was written, but {files}")
loaded = AutoModelForSequenceClassification.from_pretrained("tiny").eval()
before, after = model.state_dict(), loaded.state_dict()
if before.keys() != after.keys():
    problems.append(f"other weights: {before.keys() ^ after.keys()}")
problems += [f"weight {k} is another" for k in before if k in after and not before[k].equal(after[k])]
ids = torch.tensor([[9, 8, 5, 7]])
with torch.no_grad():
    one, other = model(input_ids=ids).logits, loaded(input_ids=ids).logits
    bare = AutoModel.from_pretrained("tiny").eval()(input_ids=ids).last_hidden_state
    hidden = model.base_model(input_ids=ids).last_hidden_state
if not torch.equal(one, other):
    problems.append(f"the outputs were {one.tolist()}, and are {other.tolist()}")
if not torch.equal(hidden, bare):
    problems.append("AutoModel gives other hidden states")
report(problems)
"""


def test_model_round_trip(tmp_path: Path) -> None:
    """A model that was saved and loaded has the same weights and outputs, from safetensors."""
    expected = "weights and outputs are the same before and after"
    agreed(tried(MODEL, tmp_path, expected=expected), MODEL, expected=expected)


SAFETENSORS = """\
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
names = [name for name in NAMES if hasattr(torch, name)]
ones = torch.ones(2, 3)
tensors = {name: ones.to(getattr(torch, name)) for name in names}
tensors["empty"], tensors["scalar"] = torch.empty(0, 3), torch.tensor(2.5)
save_file(tensors, "some.safetensors", metadata={"format": "pt"})
loaded = load_file("some.safetensors", device=DEVICE)
problems = [f"{name} is missing" for name in tensors.keys() - loaded.keys()]
for name, there in tensors.items():
    back = loaded[name].cpu()
    if back.dtype != there.dtype or back.shape != there.shape or not back.equal(there):
        problems.append(f"{name}: {there} came back as {back}")
with safe_open("some.safetensors", framework="pt") as file:
    if file.metadata() != {"format": "pt"}:
        problems.append(f"metadata: {file.metadata()}")
report(problems)
"""


def test_safetensors_round_trip(device: str, tmp_path: Path) -> None:
    """Tensors that were saved and loaded with safetensors are the same."""
    applies_to("safetensors", "torch")
    names = [*DTYPES[:9], "bfloat16"]
    source = f"NAMES, DEVICE = {names!r}, {device!r}\n{SAFETENSORS}"
    expected = "every tensor comes back with its values, shape and dtype"
    script = source.replace("report(", "print(")
    observation = imported("torch").run(source, folder=tmp_path)
    if problems := reported(observation, expected=expected, script=script).value:
        refute(expected=expected, seen="\n".join(problems), script=script)


TRAINING = """\
good = {"input_ids": [5, 5, 5], "attention_mask": [1, 1, 1], "labels": 1}
bad = {"input_ids": [6, 6, 6], "attention_mask": [1, 1, 1], "labels": 0}
arguments = TrainingArguments(
    output_dir="out", report_to=[], use_cpu=DEVICE == "cpu", seed=0, max_steps=10,
    learning_rate=0.01, lr_scheduler_type="constant", per_device_train_batch_size=8,
    logging_steps=1, save_strategy="no", disable_tqdm=True,
)
trainer = Trainer(model=tiny_model(), args=arguments, train_dataset=[good, bad] * 8)
trainer.train()
report({
    "device": trainer.model.device.type,
    "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
})
"""


def test_training_reduces_the_loss(device: str, figure: Figure, tmp_path: Path) -> None:
    """A few steps of a Trainer reduce the loss on the cell's device."""
    applies_to("accelerate")
    expected = "10 steps on separable data, each with its loss, the last below half of the first"
    source = f"DEVICE = {device!r}\n{TRAINING}"
    value = tried(source, tmp_path, expected=expected, finalise=True)
    losses = [float(loss) for loss in value["losses"]]
    problems = []
    if value["device"] != device:
        problems.append(f"the model is on {value['device']}, not on {device}")
    if len(losses) != 10:
        problems.append(f"{len(losses)} losses: {losses}")
    elif not losses[-1] < losses[0] / 2:
        problems.append(f"the loss goes from {losses[0]} to {losses[-1]}: {losses}")
    agreed(problems, source, expected=expected)
    figure("first_loss", losses[0])
    figure("last_loss", losses[-1])


PIPELINE = f"""\
model, tokenizer = tiny_model(), tiny_tokenizer()
model.save_pretrained("tiny")
tokenizer.save_pretrained("tiny")
classify = pipeline("text-classification", model="tiny", tokenizer="tiny", device=DEVICE)
problems = []
if classify.model.device.type != DEVICE:
    problems.append(f"the model is on {{classify.model.device}}")
for text, answer in zip({SENTENCES}, classify({SENTENCES})):
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        score, label = model(input_ids=ids).logits.softmax(-1)[0].max(-1)
    wanted = model.config.id2label[int(label)]
    if answer["label"] != wanted or abs(answer["score"] - float(score)) > 1e-3:
        problems.append(f"{{text!r}}: {{answer}}, and it should be {{wanted}} {{float(score)}}")
report(problems)
"""


def test_pipeline_answers(device: str, tmp_path: Path) -> None:
    """A pipeline on the cell's device answers as its model does."""
    expected = "label and score are those of the model"
    source = f"DEVICE = {device!r}\n{PIPELINE}"
    agreed(tried(source, tmp_path, expected=expected), source, expected=expected)


# What a user meets

ABSENT = """\
AutoModel.from_pretrained("matrixci-nowhere")
report("it was loaded")
"""
MISSING = """\
tiny_model().save_pretrained("tiny")
tokenizer = AutoTokenizer.from_pretrained("tiny")
report(f"{type(tokenizer).__name__} of {len(tokenizer)} tokens: 'good' is {tokenizer('good')}")
"""


def told(source: str, folder: Path, *, name: str) -> None:
    """Assert that a snippet ends in an OSError whose message has a name in it."""
    applies_to("transformers", "tokenizers", "torch")
    observation = imported("transformers.AutoModel").run(TINY + source, folder=folder)
    error = observation.raised
    if error is None or "OSError" not in error.bases or name not in error.message:
        seen = f"it {observation.ending}" + (f": {observation.value}" if observation.well else "")
        script = TINY + source.replace("report(", "print(")
        refute(expected=f"OSError that names {name!r}", seen=seen, script=script)


def test_absent_model_is_told(tmp_path: Path) -> None:
    """A model that is neither here nor in the cache is told as an OSError that names it."""
    told(ABSENT, tmp_path, name="matrixci-nowhere")


@pytest.mark.severity("warning")
def test_missing_tokenizer_is_told(tmp_path: Path) -> None:
    """A model's folder without tokenizer files is told as an OSError that names it."""
    told(MISSING, tmp_path, name="tiny")


CACHE = """\
import json, os, pathlib
home = pathlib.Path(os.environ["HF_HOME"])
folder = home / "hub" / "models--matrixci--tiny"
snapshot = folder / "snapshots" / ("0" * 40)
snapshot.mkdir(parents=True)
(folder / "refs").mkdir()
(folder / "refs" / "main").write_text("0" * 40)
(snapshot / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 24}))
from transformers import AutoConfig
report(AutoConfig.from_pretrained("matrixci/tiny").hidden_size)
"""


def test_hf_home_moves_the_cache(tmp_path: Path) -> None:
    """HF_HOME moves the cache: what lies there is loaded without a network."""
    applies_to("transformers")
    moved = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    unset = dict.fromkeys(("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"))
    expected = "AutoConfig.from_pretrained() finds the model in HF_HOME/hub"
    script = f"import os; os.environ['HF_HOME'] = 'home'\n{CACHE.replace('report(', 'print(')}"
    observation = foundation().run(CACHE, folder=tmp_path, environment={**unset, **moved})
    value = reported(observation, expected=expected, script=script).value
    if value != 24:
        refute(expected=expected, seen=f"it loaded something else: {value}", script=script)
