"""Checks of the errors that a user gets when a part is missing or has an unsupported version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.claims import applies_to, foundation, imported, refute, reported, seen_of
from support.decoys import add_metadata
from support.probe import environment, run_fresh
from support.tiny_model import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from support.observation import Observation

UNSUPPORTED = "0.0.1"  # invented: below any range

ABSENT = """\
AutoModel.from_pretrained("matrixci-nowhere")
report("the model was loaded")
"""
MISSING = """\
tiny_model().save_pretrained("tiny")
tokenizer = AutoTokenizer.from_pretrained("tiny")
report(f"{type(tokenizer).__name__} of {len(tokenizer)} tokens: 'good' is {tokenizer('good')}")
"""


def assert_os_error(source: str, folder: Path, *, named: str = "") -> None:
    """Fail the check unless a snippet raises an OSError whose message contains a name."""
    applies_to("transformers", "tokenizers", "torch")
    observation = imported("transformers.AutoModel").run(TINY + source, folder=folder)
    error = observation.raised
    if error is None or "OSError" not in error.bases or named not in error.message:
        seen = f"it {observation.ending}"
        if observation.succeeded:
            seen += f": {observation.value}"
        script = TINY + source.replace("report(", "print(")
        refute(expected=f"an OSError that names {named or 'the model'}", seen=seen, script=script)


def test_absent_model_is_reported(tmp_path: Path) -> None:
    """Loading a model that is neither local nor cached raises OSError."""
    assert_os_error(ABSENT, tmp_path)


@pytest.mark.reference("huggingface/transformers#45538")
@pytest.mark.severity("warning")
def test_missing_tokenizer_is_reported(tmp_path: Path) -> None:
    """Loading a tokenizer from a folder without tokenizer files raises OSError with its name."""
    assert_os_error(MISSING, tmp_path, named="tiny")


# Hides a distribution from imports, find_spec and importlib.metadata.
HIDDEN = """\
import importlib.machinery, sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] == HIDE
        return None if hidden else self.finder.find_spec(name, path, target)

    def find_distributions(self, *context):
        found = self.finder.find_distributions(*context)
        return (each for each in found if each.metadata["Name"] != HIDE)

    def invalidate_caches(self):
        self.finder.invalidate_caches()

finder = importlib.machinery.PathFinder
sys.meta_path[:] = [Hiding(each) if each is finder else each for each in sys.meta_path]
"""


def assert_import_error(observation: Observation, script: str, *named: str) -> None:
    """Fail the check unless a probe raised an ImportError whose message contains some names."""
    error = observation.raised
    bases = error.bases if error else ()
    if (
        error is None
        or "ImportError" not in bases
        or any(name not in error.message for name in named)
    ):
        refute(
            expected=f"an ImportError that names {' and '.join(named)}",
            seen=seen_of(observation),
            script=script,
        )


def test_absent_torch_is_reported(tmp_path: Path) -> None:
    """Trainer() without torch raises an ImportError that names PyTorch."""
    applies_to("transformers", "torch")
    use = "from transformers import Trainer\nTrainer()\nreport(1)"
    source = f"HIDE = 'torch'\n{HIDDEN}{use}"
    observation = run_fresh(source, environment=environment(), folder=tmp_path)
    assert_import_error(observation, source.replace("report(", "print("), "PyTorch")


WITHOUT_TORCH = f"""\
{HIDDEN}
from transformers import AutoConfig, AutoTokenizer, BertConfig, PreTrainedTokenizerFast
from tokenizers import Tokenizer, models, pre_tokenizers
plain = Tokenizer(models.WordLevel({{"[UNK]": 0, "good": 1, "day": 2}}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]").save_pretrained("tiny")
BertConfig(hidden_size=24).save_pretrained("tiny")
ids = AutoTokenizer.from_pretrained("tiny")("good day", return_tensors="np")["input_ids"]
report([ids.tolist(), AutoConfig.from_pretrained("tiny").hidden_size])
"""


def test_tokenizer_works_without_torch(tmp_path: Path) -> None:
    """A tokenizer and a configuration can be loaded without torch."""
    applies_to("transformers", "torch", "tokenizers")
    source = f"HIDE = 'torch'\n{WITHOUT_TORCH}"
    expected = "the tokens 1 and 2, and the configuration that was saved"
    observation = run_fresh(source, environment=environment(), folder=tmp_path)
    script = source.replace("report(", "print(")
    value = reported(observation, expected=expected, script=script).value
    if value != [[[1, 2]], 24]:
        refute(expected=expected, seen=str(value), script=script)


def test_absent_accelerate_is_reported(tmp_path: Path) -> None:
    """TrainingArguments() without accelerate raises an ImportError that names it."""
    applies_to("transformers", "accelerate", "torch")
    use = "from transformers import TrainingArguments\nTrainingArguments('out', report_to=[])"
    source = f"HIDE = 'accelerate'\n{HIDDEN}{use}\nreport(1)"
    observation = foundation().run(source, folder=tmp_path)
    assert_import_error(observation, source.replace("report(", "print("), "accelerate")


def test_unsupported_tokenizers_is_reported(tmp_path: Path) -> None:
    """Importing Transformers with an unsupported tokenizers raises an ImportError that names it."""
    applies_to("transformers", "tokenizers")
    add_metadata(tmp_path, "tokenizers", UNSUPPORTED)
    source = "import transformers\nreport(1)"
    observation = foundation().run(source, paths=[tmp_path])
    assert_import_error(
        observation, source.replace("report(1)", ""), "tokenizers", f"=={UNSUPPORTED}"
    )
