"""Statements that create an `Accelerator` and TrainingArguments, as both paths of a user."""

from __future__ import annotations

import pytest

DEFAULT = "TrainingArguments('out', report_to=[])"
CONFIGURED = (
    "TrainingArguments('out', report_to=[], accelerator_config={'use_configured_state': True})"
)
PATHS = pytest.mark.parametrize(
    "arguments",
    [pytest.param(DEFAULT, id="default"), pytest.param(CONFIGURED, id="use_configured_state")],
)


def accelerator(device: str, **kwargs: object) -> str:
    """Return a statement that creates an accelerator for the cell's device."""
    given: dict[str, object] = {**({"cpu": True} if device == "cpu" else {}), **kwargs}
    return f"accelerator = Accelerator({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def configured(device: str) -> str:
    """Return a statement that configures an accelerator with values that are no defaults."""
    return accelerator(device, mixed_precision="bf16", gradient_accumulation_steps=4)


def with_more(arguments: str, more: str) -> str:
    """Return the statement that creates the arguments, with additional ones."""
    return f"{arguments.removesuffix(')')}, {more})"
