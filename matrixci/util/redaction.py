"""Credentials are taken out of whatever is stored or shown."""

import re
from pathlib import Path
from typing import Final

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s?#]*@")
_TELLING: Final = r"(?:token|secret|passw(?:or)?d|pwd|signature|sig|credential|auth|api[_-]?key)"
# A parameter whose name tells that it is a secret, in the query or the fragment of a URL.
_PARAMETER: Final = re.compile(
    rf"(?<=[?&#;])([\w.~%-]*{_TELLING}[\w.~%-]*=)[^&#;\s\"'<>`)]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Take user names, passwords and tokens out of every URL in a text."""
    return _PARAMETER.sub(r"\1***", _USER_INFO.sub("***@", text))


def redact_file(path: Path) -> None:
    """Take credentials out of a file of text, where there are any.

    Raises:
        OSError: it can't be read or written.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    shown = redact(text)
    if shown != text:
        path.write_bytes(shown.encode("utf-8", "surrogateescape"))
