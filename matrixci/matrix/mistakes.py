"""Mistakes in matrix.yaml, each with its path in the data but not yet its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

KeyPath = tuple[str | int, ...]
"""Keys and indexes of a value, starting at the top level."""

KEY: Final = "[key]"
"""Last step of a path to a key itself instead of its value, as in pydantic."""

TYPE: Final = "matrixci"
"""Type of the pydantic errors whose message is shown unchanged."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake at a path: what is wrong, and what to write instead."""

    path: KeyPath
    message: str


def raise_mistakes(title: str, mistakes: Sequence[Mistake]) -> None:
    """Raise one pydantic error with all mistakes, or do nothing if there are none.

    In a validator, the paths are relative to the validated value.

    Raises:
        pydantic.ValidationError: there are mistakes.
    """
    if mistakes:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(
                    type=PydanticCustomError(TYPE, "{text}", {"text": mistake.message}),
                    loc=mistake.path,
                    input=None,
                )
                for mistake in mistakes
            ],
        )
