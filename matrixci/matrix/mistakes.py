"""A mistake in matrix.yaml, before anyone knows on which line it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value, from the top of the file."""

KEY: Final = "[key]"
"""As the last step of a path: the key itself, not what stands under it (as pydantic says it)."""

TYPE: Final = "matrixci"
"""The type of those of pydantic's errors whose message is already in plain words."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is wrong at a place, and what to write instead."""

    path: Path
    message: str


def refuse(title: str, mistakes: Sequence[Mistake]) -> None:
    """Raise pydantic's error with all mistakes, each at its own place; do nothing without any.

    Inside a validator the paths are relative to the value that is validated.

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
