"""The terminal that the commands print to."""

from typing import Final

from rich.console import Console
from rich.text import Text

WIDTH: Final = 160
"""Width of output that does not go to a terminal, and of pictures."""


def console(*, stderr: bool = False) -> Console:
    """Return a console for standard output or standard error."""
    made = Console(stderr=stderr, highlight=False)
    # A file or a log has no width of its own.
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH)


def print_note(text: str) -> None:
    """Print text to standard error, without markup and without folding lines."""
    console(stderr=True).print(Text(text), soft_wrap=True)
