"""Checks that create, save, load, train and call a tiny model without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.claims import Metric, applies_to, foundation, imported, refute, reported
from support.tiny_model import SENTENCES, assert_no_problems, run_tiny

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER = f"""\
tokenizer = tiny_tokenizer()
tokenizer.save_pretrained("tiny")
loaded = AutoTokenizer.from_pretrained("tiny")
problems = []
for text in {SENTENCES}:
    one, other = tokenizer(text)["input_ids"], loaded(text)["input_ids"]
    wanted = [words.index(word) if word in words else 1 for word in text.split()]
    if not one == other == wanted:
        problems.append(f"{{text!r}}: {{one}} before, {{other}} after, expected {{wanted}}")
batch = loaded({SENTENCES}, padding=True, return_tensors="pt")
if batch["attention_mask"].sum(dim=1).tolist() != [4, 2, 2]:
    problems.append(f"padding: {{batch['attention_mask'].tolist()}}")
if loaded.decode(loaded("bad day")["input_ids"]) != "bad day":
    problems.append(f"decode: {{loaded.decode(loaded('bad day')['input_ids'])!r}}")
report(problems)
"""


def test_tokenizer_round_trip(tmp_path: Path) -> None:
    """A saved and reloaded tokenizer returns the same tokens."""
    expected = "the tokens are the same before and after"
    assert_no_problems(
        run_tiny(TOKENIZER, tmp_path, expected=expected), TOKENIZER, expected=expected
    )


MODEL = """\
model = tiny_model()
model.save_pretrained("tiny")
files = sorted(file.name for file in pathlib.Path("tiny").iterdir())
problems = []
if "model.safetensors" not in files:
    problems.append(f"no safetensors file was written, only {files}")
loaded = AutoModelForSequenceClassification.from_pretrained("tiny").eval()
before, after = model.state_dict(), loaded.state_dict()
if before.keys() != after.keys():
    problems.append(f"missing or additional weights: {before.keys() ^ after.keys()}")
changed = [name for name in before if name in after and not before[name].equal(after[name])]
problems += [f"weight {name} differs" for name in changed]
ids = torch.tensor([[9, 8, 5, 7]])
with torch.no_grad():
    one, other = model(input_ids=ids).logits, loaded(input_ids=ids).logits
    bare = AutoModel.from_pretrained("tiny").eval()(input_ids=ids).last_hidden_state
    hidden = model.base_model(input_ids=ids).last_hidden_state
if not torch.allclose(one, other, atol=1e-6):
    problems.append(f"the outputs were {one.tolist()}, now {other.tolist()}")
if not torch.allclose(hidden, bare, atol=1e-6):
    problems.append("AutoModel returns different hidden states")
report(problems)
"""


def test_model_round_trip(tmp_path: Path) -> None:
    """A saved and reloaded model has the same weights and outputs, and uses safetensors."""
    expected = "weights and outputs are the same before and after"
    assert_no_problems(run_tiny(MODEL, tmp_path, expected=expected), MODEL, expected=expected)


SAVED = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64"),
)
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
    """Tensors saved and reloaded with safetensors are equal."""
    applies_to("safetensors", "torch")
    source = f"NAMES, DEVICE = {SAVED!r}, {device!r}\n{SAFETENSORS}"
    expected = "every tensor keeps its values, shape and dtype"
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


def test_training_reduces_the_loss(device: str, metric: Metric, tmp_path: Path) -> None:
    """Training with a Trainer on the cell's device reduces the loss."""
    applies_to("accelerate")
    expected = "10 training steps report their losses, the last below half of the first"
    source = f"DEVICE = {device!r}\n{TRAINING}"
    value = run_tiny(source, tmp_path, expected=expected, finalise=True)
    losses = [float(loss) for loss in value["losses"]]
    problems = []
    if value["device"] != device:
        problems.append(f"the model is on {value['device']}, not on {device}")
    if len(losses) != 10:
        problems.append(f"{len(losses)} losses: {losses}")
    elif not losses[-1] < losses[0] / 2:
        problems.append(f"the loss goes from {losses[0]} to {losses[-1]}: {losses}")
    assert_no_problems(problems, source, expected=expected)
    metric("first_loss", losses[0])
    metric("last_loss", losses[-1])


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
        problems.append(f"{{text!r}}: {{answer}}, expected {{wanted}} {{float(score)}}")
report(problems)
"""


def test_pipeline_agrees_with_model(device: str, tmp_path: Path) -> None:
    """A pipeline on the cell's device returns the prediction of its model."""
    expected = "the label and the score of the model"
    source = f"DEVICE = {device!r}\n{PIPELINE}"
    assert_no_problems(run_tiny(source, tmp_path, expected=expected), source, expected=expected)


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
    """A model in the cache of HF_HOME is loaded without a network."""
    applies_to("transformers")
    moved = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    unset = dict.fromkeys(("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"))
    expected = "AutoConfig.from_pretrained() finds the model in HF_HOME/hub"
    script = f"import os; os.environ['HF_HOME'] = 'home'\n{CACHE.replace('report(', 'print(')}"
    observation = foundation().run(CACHE, folder=tmp_path, environment={**unset, **moved})
    value = reported(observation, expected=expected, script=script).value
    if value != 24:
        refute(expected=expected, seen=f"hidden_size is {value}, not 24", script=script)
