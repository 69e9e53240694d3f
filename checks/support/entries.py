"""Entries of the subject: the imports and uses that must not execute another framework."""

from __future__ import annotations

from support.claims import installed, listed_entries, subject, subject_modules
from support.tiny_model import TINY

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
# The imports that the matrix lists, else the known ones of the subject.
ENTRIES = listed_entries() or (TRANSFORMERS if OWN else subject_modules())

# What users do after an import; each is reported like an entry.
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
REQUIREMENTS = {"Trainer.train": "accelerate"}  # use to what it needs besides the subject

# Imports every module directly below the subject and every exported name, except those that belong
# to a framework (modeling_tf_utils) and families of hundreds (the models). A module that cannot be
# imported because another package is missing is ignored.
EVERY_MODULE = "every public module"
WALK = f"""\
import collections, importlib, pkgutil, re, warnings
warnings.simplefilter("ignore")
framework = re.compile(r"(^|_)(tf\\d?|flax|keras|jax|tensorflow)(_|$)")

def attempt(get, *names):
    try:
        get(*names)
    except Exception:
        pass

for top in {subject_modules()!r}:
    package = importlib.import_module(top)
    for found in pkgutil.iter_modules(getattr(package, "__path__", [])):
        if found.name != "__main__" and not framework.search(found.name):
            attempt(importlib.import_module, f"{{top}}.{{found.name}}")
            module = sys.modules.get(f"{{top}}.{{found.name}}")
            lazy = hasattr(module, "_class_to_module")  # getattr() imports a module
            for name in () if lazy else getattr(module, "__all__", ()):
                attempt(getattr, module, name)
    places = getattr(package, "_class_to_module", {{}})
    family = lambda name: places.get(name, name).partition(".")[0]
    sizes = collections.Counter(map(family, places))
    for name in dir(package):
        place = places.get(name, "")
        if sizes[family(name)] <= 100 and not framework.search(place.replace(".", "_")):
            attempt(getattr, package, name)
"""


def statements() -> dict[str, str]:
    """Return the uses whose packages are installed, and the import of every public module."""
    uses = {use: text for use, text in USES.items() if installed(REQUIREMENTS.get(use, "torch"))}
    return {**(uses if OWN and installed("tokenizers") else {}), EVERY_MODULE: WALK}


STATEMENTS = statements()
EVERYTHING = [*ENTRIES, *STATEMENTS]
# The checks are the same for every subject; entries that do not apply to it are skipped.
PARAMETERS = list(dict.fromkeys([*EVERYTHING, *TRANSFORMERS, *USES]))
