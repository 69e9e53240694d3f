"""Selection of checks by id or glob; expressions are left to pytest's -k."""

from __future__ import annotations

from fnmatch import fnmatchcase


def is_by_id(select: str | None) -> bool:
    """Return whether a selection is an id or a glob over ids, not an expression for -k."""
    return select is not None and ("::" in select or any(sign in select for sign in "*?"))


def names(select: str, check: str) -> bool:
    """Return whether an id or a glob selects a check.

    As in pytest, an id without parameters selects all instances of a check, and a class selects all
    its checks. Brackets are literal.
    """
    if check == select or check.startswith((f"{select}[", f"{select}::")):
        return True
    return fnmatchcase(check, select.replace("[", "[[]"))
