"""Kinds of subjects, recognized by their spelling."""

import re
from enum import StrEnum
from typing import Final

from matrixci.errors import SubjectError
from matrixci.matrix import validators

_GIT: Final = re.compile(r"git\+([a-z]+)://(\S*)", re.IGNORECASE)
_GIT_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "file"})
_URL: Final = re.compile(r"([a-z]+)://(\S*)", re.IGNORECASE)
_SCHEMES: Final = frozenset({"https", "http", "file"})
_NAMED: Final = re.compile(r"[A-Za-z0-9._-]+\s*(\[[^\]]*\])?\s*@(\s|[a-z+]+:)")
_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")


class SubjectKind(StrEnum):
    """Kind of a subject."""

    REQUIREMENT = "requirement"
    PATH = "path"
    URL = "url"


def subject_kind(text: str) -> SubjectKind:
    """Return the kind of a subject, without accessing files or the network.

    A slash or a leading dot makes a path: `transformers` is a requirement, `./transformers` a
    path. `name @ URL` is a requirement. A URL may be that of a git repository.

    Raises:
        SubjectError: the subject is invalid. The message contains no credentials.
    """
    text = text.strip()
    if not text or not text.isprintable():
        msg = "empty subject; write a requirement, a path or a URL, such as transformers"
        raise SubjectError(msg)
    if not _NAMED.match(text):
        if "://" in text:
            _check_url(text)
            return SubjectKind.URL
        if text.startswith((".", "~")) or text.endswith(_ARCHIVES) or "/" in text or "\\" in text:
            return SubjectKind.PATH
    try:
        validators.requirement(text)
    except ValueError as error:
        msg = f"{error} (write a folder with a slash: ./transformers)"
        raise SubjectError(msg) from error
    return SubjectKind.REQUIREMENT


def _check_url(text: str) -> None:
    if found := _GIT.fullmatch(text):
        known, rest = _GIT_SCHEMES, found[2]
    elif found := _URL.fullmatch(text):
        known, rest = _SCHEMES, found[2]
    else:
        known, rest = frozenset(), ""
    if found is None or found[1].lower() not in known or not rest.strip("/"):
        msg = "unsupported URL; write one that starts with https://, file:/// or git+https://"
        raise SubjectError(msg)
