"""Names of output formats."""

from collections.abc import Sequence

from matrixci.errors import UsageError
from matrixci.util.text import suggestion


def format_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return names of formats without duplicates.

    Raises:
        UsageError: a name is unknown.
    """
    for name in names:
        if name not in known:
            msg = f"Unknown format {name!r}. {suggestion(name, known)}"
            raise UsageError(msg)
    return list(dict.fromkeys(names))
