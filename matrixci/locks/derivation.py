"""Read the facts that uv's proof of unsatisfiability rests on.

A proof is a chain of steps, "Because A and B, we can conclude that C". A and B are facts (of an
index, of metadata or of the request) or earlier conclusions. Only facts are read here: the ranges
in a conclusion are computed by the solver and are the requirement of no package.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

_NAME: Final = r"[\w-]+(?:\.[\w-]+)*"
_CLAUSE: Final = r"(?:[<>=!~]=|[<>])[\w*+!]+(?:\.[\w*+!]+)*"
# Atomic: what follows a requirement must not be met by taking less of it.
REQUIREMENT: Final = rf"(?>{_NAME}(?:\[[\w.,-]+\])?(?:{_CLAUSE}(?:,{_CLAUSE})*)?)"
_MARKER: Final = re.compile(r"\{[^{}]*\}")
_STEP: Final = re.compile(r"\bbecause (.*?),? we can conclude that ", re.IGNORECASE)
_RANGES: Final = (
    rf"(?:all of: ({REQUIREMENT}(?: {REQUIREMENT})*)|all versions of ({REQUIREMENT})"
    rf"|({REQUIREMENT}))"
)
_NEED: Final = re.compile(
    rf"{_RANGES} (?:depends? on|requires?) (?:Python ?)?({REQUIREMENT}|{_CLAUSE}(?:,{_CLAUSE})*)"
)
_WHEELLESS: Final = re.compile(
    rf"{_RANGES} (?:has|have) no (?:usable wheels|wheels with a matching .*)"
)
_YANKED: Final = re.compile(rf"{_RANGES} (?:was|were) yanked(?: \(reason: .*?\))?")
_UNKNOWN: Final = re.compile(rf"({REQUIREMENT}) was not found in the package registry")
_NO_VERSION: Final = re.compile(rf"there (?:is|are) no versions? of ({REQUIREMENT})")
_AVAILABLE: Final = re.compile(
    rf"only (?:({REQUIREMENT}) is available"
    rf"|the following versions of {_NAME} are available: ({REQUIREMENT}(?: {REQUIREMENT})*))"
)
_PYTHON: Final = re.compile(r"the (?:requested|current) Python version \(.*?\) does not satisfy .*")
_KNOWN: Final = re.compile(r"we know from \(\d+\) that .*")


@dataclass(frozen=True, kw_only=True)
class Need:
    """A requirement from a package's metadata."""

    package: str
    """Name and versions of the package, such as torch>=2.0,<=2.4."""
    requirement: str
    """What those versions require, as their metadata has it."""


@dataclass(kw_only=True)
class Derivation:
    """The facts of a proof, in the order in which they are given."""

    required: list[str] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)
    pythons: list[Need] = field(default_factory=list)
    """Needs of another Python; the requirement is a specifier."""
    wheelless: list[str] = field(default_factory=list)
    yanked: list[str] = field(default_factory=list)
    available: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name to all versions that the index has."""
    absent: list[str] = field(default_factory=list)
    """Requirements that no version matches."""
    unknown: list[str] = field(default_factory=list)
    """Names that the index doesn't have."""
    understood: bool = True
    """Every fact was read."""


def read_derivation(text: str) -> Derivation:
    """Return the facts of a proof.

    Args:
        text: the proof in one line, without the hints that follow it.
    """
    facts = Derivation()
    text = _MARKER.sub("", text)
    steps = [step[1] for step in _STEP.finditer(text)]
    if not steps:
        alone = re.fullmatch(r"(.*?),? which (?:is|are) incompatible\.?", text)
        steps = [alone[1]] if alone else []
    facts.understood = bool(steps)
    for step in steps:
        _read_step(facts, step)
    return facts


def _read_step(facts: Derivation, step: str) -> None:
    requires = False
    for piece in re.split(r",? and ", step):
        word = piece.strip(" ,")
        requires = requires or word.startswith("you require ")
        asked = word.removeprefix("you require ")
        listed = re.split(
            " " if asked.startswith("all of: ") else ", ", asked.removeprefix("all of: ")
        )
        if requires and all(re.fullmatch(REQUIREMENT, each) for each in listed):
            facts.required += [each for each in listed if each not in facts.required]
            continue
        requires = False
        if not _read_fact(facts, word):
            facts.understood = False


def _read_fact(facts: Derivation, word: str) -> bool:
    if found := _NEED.fullmatch(word):
        which = facts.needs if re.match(r"\w", found[4]) else facts.pythons
        which += [Need(package=each, requirement=found[4]) for each in _ranges(found)]
    elif found := _WHEELLESS.fullmatch(word):
        facts.wheelless += _ranges(found)
    elif found := _YANKED.fullmatch(word):
        facts.yanked += _ranges(found)
    elif found := _UNKNOWN.fullmatch(word):
        facts.unknown.append(found[1])
    elif found := _NO_VERSION.fullmatch(word):
        facts.absent.append(found[1])
    elif found := _AVAILABLE.fullmatch(word):
        ranges = (found[1] or found[2]).split()
        facts.available[name_of(ranges[0])] = tuple(ranges)
    else:
        return bool(_PYTHON.fullmatch(word) or _KNOWN.fullmatch(word))
    return True


def _ranges(found: re.Match[str]) -> list[str]:
    return found[1].split() if found[1] else [found[2] or found[3]]


def name_of(requirement: str) -> str:
    """Return the name of the package that a requirement speaks of."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def newest(ranges: list[str]) -> str:
    """Return the range that reaches the newest version."""

    def upper(text: str) -> tuple[bool, Version]:
        bounds = [clause for clause in Requirement(text).specifier if clause.operator != "!="]
        ends = [clause for clause in bounds if clause.operator not in {">", ">="}]
        versions = [Version(clause.version.removesuffix(".*")) for clause in ends or bounds]
        return (not ends, max(versions, default=Version("0")))

    return max(ranges, key=upper)


def exclude(one: str, other: str) -> bool:
    """Tell whether two requirements are of one package and leave no version between them."""
    if name_of(one) != name_of(other):
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
