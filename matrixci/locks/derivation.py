"""Parser for the facts in uv's proof that requirements have no solution.

A proof is a chain of steps, "Because A and B, we can conclude that C". A and B are facts (from the
index, from metadata or from the request) or earlier conclusions. Only facts are parsed: the solver
computes the ranges in a conclusion, so they are not requirements of any package.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

_NAME: Final = r"[\w-]+(?:\.[\w-]+)*"
_CLAUSE: Final = r"(?:[<>=!~]=|[<>])[\w*+!]+(?:\.[\w*+!]+)*"
# Atomic, so that backtracking cannot match only a part of a requirement.
REQUIREMENT: Final = rf"(?>{_NAME}(?:\[[\w.,-]+\])?(?:{_CLAUSE}(?:,{_CLAUSE})*)?)"
_MARKER: Final = re.compile(r"\{[^{}]*\}")
_STEP: Final = re.compile(r"\bbecause (.*?),? we can conclude that ", re.IGNORECASE)
_RANGES: Final = (
    rf"(?:all of: ({REQUIREMENT}(?: {REQUIREMENT})*)|all versions of ({REQUIREMENT})"
    rf"|({REQUIREMENT}))"
)
_DEPENDENCY: Final = re.compile(
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
class Dependency:
    """A requirement from the metadata of a package."""

    package: str
    """Name and versions of the package, such as torch>=2.0,<=2.4."""
    requirement: str
    """The requirement as written in the metadata."""


@dataclass(kw_only=True)
class Derivation:
    """The facts of a proof, in the order of the proof."""

    required: list[str] = field(default_factory=list)
    dependencies: list[Dependency] = field(default_factory=list)
    pythons: list[Dependency] = field(default_factory=list)
    """Dependencies on another Python; the requirement is a version specifier."""
    wheelless: list[str] = field(default_factory=list)
    yanked: list[str] = field(default_factory=list)
    available: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Mapping of package name to all versions in the index."""
    absent: list[str] = field(default_factory=list)
    """Requirements that no version matches."""
    unknown: list[str] = field(default_factory=list)
    """Package names that the index does not have."""
    understood: bool = True
    """Every fact was parsed."""


def read_derivation(text: str) -> Derivation:
    """Parse the facts of a proof.

    Args:
        text: the proof on one line, without the hints after it.
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
        text = word.removeprefix("you require ")
        listed = re.split(
            " " if text.startswith("all of: ") else ", ", text.removeprefix("all of: ")
        )
        if requires and all(re.fullmatch(REQUIREMENT, each) for each in listed):
            facts.required += [each for each in listed if each not in facts.required]
            continue
        requires = False
        if not _read_fact(facts, word):
            facts.understood = False


def _read_fact(facts: Derivation, word: str) -> bool:
    if found := _DEPENDENCY.fullmatch(word):
        which = facts.dependencies if re.match(r"\w", found[4]) else facts.pythons
        which += [Dependency(package=each, requirement=found[4]) for each in _ranges(found)]
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
    """Return the package name of a requirement."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def newest(ranges: list[str]) -> str:
    """Return the range with the highest upper bound."""

    def upper(text: str) -> tuple[bool, Version]:
        bounds = [clause for clause in Requirement(text).specifier if clause.operator != "!="]
        uppers = [clause for clause in bounds if clause.operator not in {">", ">="}]
        versions = [Version(clause.version.removesuffix(".*")) for clause in uppers or bounds]
        return (not uppers, max(versions, default=Version("0")))

    return max(ranges, key=upper)


def exclude(one: str, other: str) -> bool:
    """Return whether two requirements name the same package and no version meets both."""
    if name_of(one) != name_of(other):
        return False
    try:
        both = Requirement(one).specifier & Requirement(other).specifier
        bounds = [Version(clause.version.removesuffix(".*")) for clause in both]
    except ValueError:
        return False
    # If any version meets both, one at a bound or just above it does, or version 0.
    above = [f"{bound.base_version}.0.1" for bound in bounds]
    candidates = ["0", *map(str, bounds), *above]
    return not any(both.contains(version, prereleases=True) for version in candidates)
