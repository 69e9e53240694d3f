"""The terminal that the commands print to."""

from typing import Final

from rich.console import Console

WIDTH: Final = 160
"""Of what is printed where there is no terminal, and of the picture."""


def console(*, stderr: bool = False) -> Console:
    """Return the console of the standard output, or of the standard error."""
    made = Console(stderr=stderr, highlight=False)
    # Where there is no terminal the table goes to a file or a log, which has no width.
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=WIDTH)
