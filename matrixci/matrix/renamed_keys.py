"""Keys of matrix.yaml with a new name, for the error message of the old one."""

from collections.abc import Mapping
from typing import Final

RENAMED_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {"entries": "imports"},
    "gates": {"ends": "bounds"},
    "limits": {
        "again": "reruns",
        "build": "build-timeout",
        "cell": "cell-timeout",
        "check": "check-timeout",
        "free-disk": "min-free-disk",
        "log": "log-size",
        "result": "result-size",
        "scratch": "tmp-size",
        "silence": "no-output-timeout",
    },
}
"""Section ("" is the top level) to old key to new key."""


def new_key(path: tuple[str | int, ...]) -> str | None:
    """Return the new name of the key at a path, or None if it was not renamed."""
    section = ".".join(map(str, path[:-1]))
    return RENAMED_KEYS.get(section, {}).get(str(path[-1]))
