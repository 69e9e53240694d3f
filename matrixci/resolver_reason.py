"""The resolver's proof that requirements have no solution, as one line for a person."""

import re
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

NO_SOLUTION: Final = "No solution found when resolving dependencies"

_LENGTH: Final = 220
_NAME: Final = r"[\w-]+(?:\.[\w-]+)*"
_CLAUSE: Final = r"(?:[<>=!~]=|[<>])[\w*+!]+(?:\.[\w*+!]+)*"
# Atomic: what follows a requirement must not be met by taking less of it.
_REQUIREMENT: Final = rf"(?>{_NAME}(?:\[[\w.,-]+\])?(?:{_CLAUSE}(?:,{_CLAUSE})*)?)"
_NEED: Final = rf"({_REQUIREMENT}) depends? on "
_ASKED: Final = rf"{_REQUIREMENT}(?! (?:depends|has|was)\b)"
# What the resolver concludes is no requirement of the user's.
_REQUIRED: Final = rf"(?<!conclude that )you require ({_ASKED}(?:(?:, | and ){_ASKED})*)"


def one_line(text: str) -> str:
    """Fold a text into one line; the hosts of URLs are left out, they say who asked."""
    text = re.sub(r"https?://[^\s`)]+", "the index", text)
    text = re.sub(r"\s*\bcause: ", ": ", text.strip().removeprefix("error: "))
    return re.sub(r"\s+", " ", text).strip(" :")


def readable_reason(stderr: str) -> str:
    """Make one line of the resolver's explanation, for a person who knows Python packages."""
    text = one_line(stderr.partition(NO_SOLUTION)[2])
    reasons = (rule(text) for rule in _RULES)
    reason = next(filter(None, reasons), "the resolver gives no reason")
    return reason if len(reason) <= _LENGTH else f"{reason[: _LENGTH - 1]}…"


def _other_python(text: str) -> str | None:
    python = rf"Python\s?({_CLAUSE}(?:,{_CLAUSE})*)"
    found = re.search(rf"({_REQUIREMENT}) (?:depends on|requires) {python}", text)
    return f"{found[1]} needs Python {found[2]}" if found else None


def _unknown(text: str) -> str | None:
    found = re.search(rf"({_REQUIREMENT}) was not found in the package registry", text)
    return f"{found[1]} is not in the package index" if found else None


def _conflict(text: str) -> str | None:
    """Say which package needs something else than the user requires."""
    # The last mention is what the resolver concluded from those before it.
    for needed in reversed(list(re.finditer(rf"{_NEED}({_REQUIREMENT})", text))):
        for required in _required(text):
            if _exclude(needed[2], required):
                return f"{needed[1]} needs {needed[2]}, and {required} is required"
    return None


def _no_wheel_for_python(text: str) -> str | None:
    found = re.search(rf"only found wheels for `({_NAME})`", text)
    python = re.search(r"You require (\w+ [\d.]+)", text)
    return _lacking(text, found[1], f"for {python[1]}") if found and python else None


def _no_version(text: str) -> str | None:
    found = re.search(rf"there is no version of ({_REQUIREMENT})", text)
    if found is None:
        return None
    later = re.search(r"filtered by `exclude-newer`.* was published at ([\d-]+)T", text)
    return f"there is no {found[1]}" + (f" by then: it is of {later[1]}" if later else "")


def _contradiction(text: str) -> str | None:
    required = _required(text)
    for index, one in enumerate(required):
        for other in required[index + 1 :]:
            if _exclude(one, other):
                return f"{one} and {other} exclude each other"
    return None


def _no_wheel(text: str) -> str | None:
    found = re.search(rf"Wheels are required for `({_NAME})`", text)
    return _lacking(text, found[1], "can be used here") if found else None


def _first_cause(text: str) -> str | None:
    found = re.search(r"Because (.*?), we can conclude", text)
    return found[1] if found else text


def _lacking(text: str, package: str, where: str) -> str:
    """Say that a package has no wheel, as it is asked for: by the user, or by another package."""
    for required in _required(text):
        if _name(required) == package:
            return f"no wheel of {required} {where}"
    if needed := re.search(rf"{_NEED}((?={re.escape(package)}(?![\w.-])){_REQUIREMENT})", text):
        return f"no wheel of {needed[2]} {where}, and {needed[1]} needs it"
    return f"no wheel of {package} {where}"


def _required(text: str) -> list[str]:
    """Return what the user requires, in the order in which it is told."""
    lists = re.findall(_REQUIRED, text)
    return list(dict.fromkeys(each for one in lists for each in re.split(r", | and ", one)))


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _exclude(one: str, other: str) -> bool:
    """Tell whether two requirements are of one package and leave no version between them."""
    if _name(one) != _name(other):
        return False
    try:
        both = Requirement(one).specifier & Requirement(other).specifier
        bounds = [Version(clause.version.removesuffix(".*")) for clause in both]
    except ValueError:
        return False
    # What is left, if anything, begins or ends at a bound, or is all that there is.
    above = [f"{bound.base_version}.0.1" for bound in bounds]
    tried = ["0", *map(str, bounds), *above]
    return not any(both.contains(version, prereleases=True) for version in tried)


_RULES: Final = (
    _other_python,
    _unknown,
    _conflict,
    _no_wheel_for_python,
    _no_version,
    _contradiction,
    _no_wheel,
    _first_cause,
)
"""In the order in which they are believed: the first that has something to say is told."""
