"""Removal of credentials from text that is stored or shown."""

import re
from pathlib import Path
from typing import Final

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s?#]*@")
_PARAMETER_NAMES: Final = (
    r"(?:token|secret|passw(?:or)?d|pwd|signature|sig|credential|auth|api[_-]?key)"
)
# A parameter in the query or fragment of a URL whose name says that it is a secret.
_PARAMETER: Final = re.compile(
    rf"(?<=[?&#;])([\w.~%-]*{_PARAMETER_NAMES}[\w.~%-]*=)[^&#;\s\"'<>`)]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Remove user names, passwords and tokens from every URL in a text."""
    return _PARAMETER.sub(r"\1***", _USER_INFO.sub("***@", text))


def redact_file(path: Path) -> None:
    """Remove credentials from a text file.

    Raises:
        OSError: the file cannot be read or written.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    shown = redact(text)
    if shown != text:
        path.write_bytes(shown.encode("utf-8", "surrogateescape"))
