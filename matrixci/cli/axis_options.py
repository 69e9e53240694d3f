"""Options named after the axes of the matrix, such as --python 3.12."""

from collections.abc import Sequence
from typing import Final

import typer

from matrixci.cli.renamed_options import new_name
from matrixci.errors import UsageError
from matrixci.util.text import suggestion

AXIS_SETTINGS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of a command that takes such options."""
AXIS_HELP: Final = (
    "Each axis of the matrix is also an option: --python 3.12 --device cpu --numpy 1.x"
)


def axis_options(context: typer.Context, axes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the chosen values of each axis.

    Args:
        context: the command's; it holds the part of the command line that is not parsed yet.
        axes: the axes of the matrix.

    Raises:
        UsageError: a word is not such an option, or has no value.
    """
    wanted: dict[str, list[str]] = {}
    own = [name for each in context.command.params for name in each.opts]
    rest = iter(context.args)
    for word in rest:
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in axes:
            known = [*(f"--{axis}" for axis in axes), *own]
            msg = f"Unknown option {word}. {_suggestion(word, known)}"
            raise UsageError(msg)
        if not given:
            value = next(rest, "")
        if not value:
            msg = f"{word} needs a value of the axis {name}."
            raise UsageError(msg)
        wanted.setdefault(name, []).extend(value.split(","))
    return {name: tuple(values) for name, values in wanted.items()}


def _suggestion(word: str, known: Sequence[str]) -> str:
    renamed = new_name(word)
    return suggestion(word, known) if renamed is None else f'Did you mean "{renamed}"?'
