"""What a subject is, judged by how it is written."""

import re
from enum import StrEnum
from typing import Final

from matrixci.errors import SubjectError
from matrixci.matrix import validators as formats

_GIT: Final = re.compile(r"git\+([a-z]+)://(\S*)", re.IGNORECASE)
_GIT_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "file"})
_URL: Final = re.compile(r"([a-z]+)://(\S*)", re.IGNORECASE)
_SCHEMES: Final = frozenset({"https", "http", "file"})
_NAMED: Final = re.compile(r"[A-Za-z0-9._-]+\s*(\[[^\]]*\])?\s*@(\s|[a-z+]+:)")
_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")


class SubjectKind(StrEnum):
    """What a subject is, judged by its shape."""

    REQUIREMENT = "requirement"
    PATH = "path"
    URL = "url"


def subject_kind(text: str) -> SubjectKind:
    """Judge what a subject is by how it is written; whether it exists is not looked at.

    A folder is told by a slash or a leading dot: `transformers` is a requirement, `./transformers`
    a path. `name @ URL` is a requirement; a URL may be one of a git repository.

    Raises:
        SubjectError: it is none; the message says what to write, and shows no credentials.
    """
    text = text.strip()
    if not text or not text.isprintable():
        msg = "no subject; write a requirement, a path or a URL, such as transformers"
        raise SubjectError(msg)
    if not _NAMED.match(text):
        if "://" in text:
            _judge_url(text)
            return SubjectKind.URL
        if text.startswith((".", "~")) or text.endswith(_ARCHIVES) or "/" in text or "\\" in text:
            return SubjectKind.PATH
    try:
        formats.requirement(text)
    except ValueError as error:
        msg = f"{error} (a folder is written with a slash: ./transformers)"
        raise SubjectError(msg) from error
    return SubjectKind.REQUIREMENT


def _judge_url(text: str) -> None:
    if found := _GIT.fullmatch(text):
        known, rest = _GIT_SCHEMES, found[2]
    elif found := _URL.fullmatch(text):
        known, rest = _SCHEMES, found[2]
    else:
        known, rest = frozenset(), ""
    if found is None or found[1].lower() not in known or not rest.strip("/"):
        msg = "not a URL that can be read; write https://, file:/// or git+https:// and the rest"
        raise SubjectError(msg)
