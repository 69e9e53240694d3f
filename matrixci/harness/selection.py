"""Which checks a selection names by their ids; words are left to pytest's -k."""

from __future__ import annotations

from fnmatch import fnmatchcase


def is_by_id(select: str | None) -> bool:
    """Tell whether a selection is an id or a glob over ids, and no expression for -k."""
    return select is not None and ("::" in select or any(sign in select for sign in "*?"))


def names(select: str, check: str) -> bool:
    """Tell whether an id or a glob names a check.

    As in pytest, an id without parameters names all instances of a check, and a class all its
    checks. Brackets stand for themselves.
    """
    if check == select or check.startswith((f"{select}[", f"{select}::")):
        return True
    return fnmatchcase(check, select.replace("[", "[[]"))
