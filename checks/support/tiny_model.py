"""A tiny model and tokenizer, created without a network, and snippets that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.claims import applies_to, imported, refute, reported

if TYPE_CHECKING:
    from pathlib import Path

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


def run_tiny(
    source: str,
    folder: Path,
    *,
    expected: str,
    finalise: bool = False,
) -> Any:  # noqa: ANN401 - JSON
    """Return the value that a snippet with the tiny model reports; fail the check otherwise."""
    applies_to("transformers", "tokenizers", "torch")
    interpreter = imported("transformers", "transformers.Trainer", "transformers.pipeline")
    script = TINY + source.replace("report(", "print(")
    observation = interpreter.run(TINY + source, folder=folder, finalise=finalise)
    return reported(observation, expected=expected, script=script).value


def assert_no_problems(problems: list[str], source: str, *, expected: str) -> None:
    """Fail the check if a snippet reported problems."""
    if problems:
        script = TINY + source.replace("report(", "print(")
        refute(expected=expected, seen="\n".join(problems), script=script)
