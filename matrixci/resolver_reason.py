"""The resolver's proof that requirements have no solution, as one line for a person."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from packaging.requirements import Requirement

NO_SOLUTION: Final = "No solution found when resolving dependencies"

_LENGTH: Final = 220
_NAME: Final = r"[\w-]+(?:\.[\w-]+)*"
_VERSION: Final = r"[\w*+!]+(?:\.[\w*+!]+)*"
_CLAUSE: Final = rf"[<>=!~]=?{_VERSION}"
# Atomic: what follows a requirement must not be met by taking less of it.
_REQUIREMENT: Final = rf"(?>{_NAME}(?:\[[\w.,-]+\])?(?:{_CLAUSE}(?:,{_CLAUSE})*)?)"
_ASKED: Final = rf"{_REQUIREMENT}(?! (?:depends|has|was)\b)"


def one_line(text: str) -> str:
    """Fold a text into one line; the hosts of URLs are left out, they say who asked."""
    text = re.sub(r"https?://[^\s`)]+", "the index", text)
    return re.sub(r"\s+", " ", text.replace("cause:", "")).removeprefix("error: ").strip()


def readable_reason(stderr: str) -> str:
    """Make one line of the resolver's explanation, for a person who knows Python packages."""
    text = one_line(stderr.partition(NO_SOLUTION)[2])
    rules: tuple[Callable[[str], str | None], ...]
    rules = (_other_python, _unknown, _conflict, _no_wheel_for_python, _no_version, _exclusive)
    for rule in (*rules, _no_wheel):
        if reason := rule(text):
            return _cut(reason)
    because = re.search(r"Because (.*?), we can conclude", text)
    return _cut(because[1] if because else text or "the resolver gives no reason")


def _other_python(text: str) -> str | None:
    found = re.search(rf"({_REQUIREMENT}) depends on Python\s?({_CLAUSE}(?:,{_CLAUSE})*)", text)
    return f"{found[1]} needs Python {found[2]}" if found else None


def _unknown(text: str) -> str | None:
    found = re.search(rf"({_REQUIREMENT}) was not found in the package registry", text)
    return f"{found[1]} is not in the package index" if found else None


def _conflict(text: str) -> str | None:
    """Say which requirement asks for something else than the user does."""
    # The last mention is what the resolver concluded from those before it.
    needs = [found.groups() for found in re.finditer(_depends_on(_REQUIREMENT), text)]
    for who, what in reversed(needs):
        for asked in _required(text):
            if _excluding(what, asked):
                return f"{who} needs {what}, and {asked} is required"
    return None


def _no_wheel_for_python(text: str) -> str | None:
    found = re.search(rf"only found wheels for `({_NAME})`", text)
    if found is None:
        return None
    python = re.search(r"You require (\w+ [\d.]+)", text)
    on = python[1] if python else "this Python"
    return f"no wheel of {_asked(text, found[1])} for {on}{_who_needs(text, found[1])}"


def _no_version(text: str) -> str | None:
    found = re.search(rf"there is no version of ({_REQUIREMENT})", text)
    if found is None:
        return None
    later = re.search(r"filtered by `exclude-newer`.* was published at ([\d-]+)T", text)
    when = f" by then: it was published on {later[1]}" if later else ""
    return f"there is no {found[1]}{when}"


def _exclusive(text: str) -> str | None:
    required = _required(text)
    for one in required:
        for other in required:
            if one != other and _excluding(one, other):
                return f"{one} and {other} exclude each other"
    return None


def _no_wheel(text: str) -> str | None:
    found = re.search(rf"Wheels are required for `({_NAME})`", text)
    if found is None:
        return None
    return f"no wheel of {_asked(text, found[1])} can be used here{_who_needs(text, found[1])}"


def _asked(text: str, name: str) -> str:
    """Return how a package is asked for: by the user, or else by another package."""
    by_user = [text for text in _required(text) if Requirement(text).name == name]
    by_other = re.search(_depends_on(rf"(?={re.escape(name)}\b){_REQUIREMENT}"), text)
    return next(iter(by_user), by_other[2] if by_other else name)


def _who_needs(text: str, name: str) -> str:
    if any(Requirement(asked).name == name for asked in _required(text)):
        return ""
    found = re.search(_depends_on(rf"(?={re.escape(name)}\b){_REQUIREMENT}"), text)
    return f", and {found[1]} needs it" if found else ""


def _depends_on(what: str) -> str:
    return rf"({_REQUIREMENT}) depends on ({what})"


def _required(text: str) -> list[str]:
    """Return what the user requires, in the order in which it is mentioned."""
    listed = rf"(?<!conclude that )you require ({_ASKED}(?:(?:, | and ){_ASKED})*)"
    return list(dict.fromkeys(name for found in re.findall(listed, text) for name in _each(found)))


def _each(listed: str) -> Iterator[str]:
    yield from re.findall(_REQUIREMENT, re.sub(r", | and ", " ", listed))


def _excluding(one: str, other: str) -> bool:
    """Tell whether two requirements of one package leave no version, as far as their bounds say."""
    first, second = Requirement(one), Requirement(other)
    if first.name != second.name or not first.specifier or not second.specifier:
        return False
    bounds = [clause.version.removesuffix(".*") for clause in first.specifier & second.specifier]
    both = first.specifier & second.specifier
    return not any(both.contains(version, prereleases=True) for version in bounds)


def _cut(reason: str) -> str:
    return reason if len(reason) <= _LENGTH else f"{reason[: _LENGTH - 1]}…"
