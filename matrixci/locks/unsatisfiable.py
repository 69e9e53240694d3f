"""Summarize the resolver's proof that requirements have no solution in one readable line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from matrixci.locks.derivation import (
    Dependency,
    Derivation,
    exclude,
    name_of,
    newest,
    read_derivation,
)

NO_SOLUTION: Final = "No solution found when resolving dependencies"

_LENGTH: Final = 220


def one_line(text: str) -> str:
    """Return a text as one line, without URLs, which could contain credentials."""
    text = re.sub(r"https?://[^\s`)]+", "the index", text)
    text = re.sub(r"\s*\bcause: ", ": ", text.strip().removeprefix("error: "))
    return re.sub(r"\s+", " ", text).strip(" :")


def hints_of(stderr: str) -> str:
    """Return the hints after the resolver's proof as one line."""
    return _proof(stderr)[1]


def derivation_of(stderr: str) -> Derivation:
    """Return the facts of the resolver's proof."""
    return read_derivation(_proof(stderr)[0])


def without_usable_wheel(stderr: str) -> tuple[str, ...]:
    """Return the requirements that have no usable wheel according to the proof.

    uv also reports releases that need a newer Python this way.

    Args:
        stderr: output of the resolver.
    """
    proof, hints = _proof(stderr)
    try:
        facts = read_derivation(proof)
        return _Reason(facts, hints, None).wheelless() if facts.understood else ()
    except ValueError:
        return ()


def needed_pythons(stderr: str, python: str) -> dict[str, Dependency]:
    """Return the Python that each package needs, if that is why no release is usable.

    Args:
        stderr: output of the resolver for requirements without dependencies, for any platform.
        python: X.Y of the interpreter of the cell.

    Returns:
        Mapping of name to the dependency on the lowest Python. Its package is the name alone if
        the proof covers all releases, or else the range of releases that it covers.
    """
    try:
        facts = derivation_of(stderr)
        if not facts.understood:
            return {}
        needs: dict[str, list[Dependency]] = {}
        for need in facts.pythons:
            needs.setdefault(name_of(need.package), []).append(need)
        found = {name: _lowest(each, python) for name, each in needs.items()}
    except ValueError:
        return {}
    partly = set(map(name_of, facts.wheelless))
    return {
        name: need if name in partly else replace(need, package=name)
        for name, need in found.items()
        if need is not None
    }


def _lowest(needs: Sequence[Dependency], python: str) -> Dependency | None:
    if len({need.requirement for need in needs}) == 1:
        return needs[0]
    bounds: list[tuple[Version, int]] = []
    for index, need in enumerate(needs):
        clauses = SpecifierSet(need.requirement)
        lower = [Version(one.version) for one in clauses if one.operator == ">="]
        if not lower or max(lower) <= Version(python):
            return None  # a release is for older Pythons
        bounds.append((max(lower), index))
    return needs[min(bounds)[1]]


def readable_reason(
    stderr: str, python: str | None = None, pythons: Mapping[str, Dependency] | None = None
) -> str:
    """Return the resolver's explanation as one readable line.

    Every requirement in it comes from the user or from the metadata of a package. A proof that
    cannot be parsed is quoted in the resolver's words.

    Args:
        stderr: output of the resolver.
        python: X.Y of the interpreter of the cell.
        pythons: package name to the Python that it needs, if that is why no wheel is usable.
    """
    proof, hints = _proof(stderr)
    try:
        reason = _Reason(read_derivation(proof), hints, python, pythons).text()
    except ValueError:  # an invalid version
        reason = ""
    reason = reason or proof or "the resolver gave no reason"
    return reason if len(reason) <= _LENGTH else f"{reason[: _LENGTH - 1]}…"


def _proof(stderr: str) -> tuple[str, str]:
    text, _, hints = stderr.partition(NO_SOLUTION)[2].partition("\nhint: ")
    text = re.sub(r"\A for split \(.*\)$", "", text, count=1, flags=re.MULTILINE)
    return one_line(text), one_line(hints)


class _Reason:
    """The causes of a proof, one for each package."""

    def __init__(
        self,
        facts: Derivation,
        hints: str,
        python: str | None,
        pythons: Mapping[str, Dependency] | None = None,
    ) -> None:
        self._facts = facts
        self._hints = hints
        self._pythons = pythons or {}
        self._python = f"Python {python}" if python else None
        self._needed_by = {name_of(need.package) for need in facts.dependencies}

    def text(self) -> str:
        """Return the causes, or an empty text if there is none or a fact was not parsed."""
        if not self._facts.understood:
            return ""
        needed = [need.requirement for need in self._facts.dependencies]
        requirements = [*self._facts.required, *needed]
        names = dict.fromkeys(map(name_of, requirements))
        causes = [cause for name in names if (cause := self._cause(name))]
        causes += [self._other_python(name) for name in self._python_names()]
        causes += self._unusable_subjects() if causes else []
        return "; ".join(dict.fromkeys(causes))

    def wheelless(self) -> tuple[str, ...]:
        """Return the requirements without a usable wheel that are the only one on their package."""
        found = []
        for name in dict.fromkeys(map(name_of, self._facts.wheelless)):
            required = [each for each in self._facts.required if name_of(each) == name]
            needs = [need for need in self._facts.dependencies if name_of(need.requirement) == name]
            requirements = [*required, *(need.requirement for need in _compatible(required, needs))]
            found += requirements if len(requirements) == 1 else []
        return tuple(found)

    def _cause(self, name: str) -> str:
        """Return why no version of a package can be used, if the cause is the package itself."""
        required = [each for each in self._facts.required if name_of(each) == name]
        needs = [need for need in self._facts.dependencies if name_of(need.requirement) == name]
        if name in self._facts.unknown:
            return f"{name} is not in the package index{self._whose(required, needs)}"
        if len(required) > 1 and exclude(required[0], required[1]):
            return f"{required[0]} and {required[1]} exclude each other"
        wheelless = [each for each in self._facts.wheelless if name_of(each) == name]
        yanked = [each for each in self._facts.yanked if name_of(each) == name]
        if yanked and name not in self._needed_by:
            more = f"{newest(wheelless)} has no usable wheel; " if wheelless else ""
            causes = _joined(required, _compatible(required, needs))
            return f"{newest(yanked)} was yanked; {more}{causes}"
        if wheelless and name not in self._needed_by and name not in self._python_names():
            return self._without_wheel(name, required, needs, wheelless)
        return self._without_version(name, required, needs) or self._conflict(required, needs)

    def _without_wheel(
        self, name: str, required: list[str], needs: list[Dependency], wheelless: list[str]
    ) -> str:
        chosen = _compatible(required, needs)
        python = re.search(rf"You require (\w+ [\d.]+) \(.*?found wheels for `{name}`", self._hints)
        place = f"for {python[1]}" if python else "can be used here"
        if len(required) + len(chosen) <= 1:
            requirement = required[0] if required else chosen[0].requirement if chosen else name
            if need := self._pythons.get(name):
                which = requirement if need.package == name else need.package
                return f"{which} needs Python {need.requirement}{self._whose(required, chosen)}"
            return f"no wheel of {requirement} {place}{self._whose(required, chosen)}"
        where = python[1] if python else self._python
        having = f"usable wheel for {where}" if where else "usable wheel"
        return f"{newest(wheelless)} has no {having}; {_joined(required, chosen)}"

    def _without_version(self, name: str, required: list[str], needs: list[Dependency]) -> str:
        absent = [each for each in self._facts.absent if name_of(each) == name]
        if absent and absent[0] in required:
            later = re.search(
                r"filtered by `exclude-newer`.* was published at ([\d-]+)T", self._hints
            )
            return f"there is no {absent[0]}" + (f" by then: it is of {later[1]}" if later else "")
        available = self._facts.available.get(name, ())
        for requirement in [*required, *(need.requirement for need in needs)]:
            by = [need for need in needs if need.requirement == requirement]
            if requirement in absent or (
                available and all(exclude(requirement, one) for one in available)
            ):
                having = f": only {available[0]} is available" if len(available) == 1 else ""
                return f"there is no {requirement}{having}{self._whose(required, by)}"
        chosen = _compatible(required, needs)
        if available and len(required) + len(chosen) > 1 and name not in self._needed_by:
            every = [*required, *(need.requirement for need in chosen)]
            if not any(exclude(one, other) for one in every for other in every):
                return f"no release of {name} fits: {_joined(required, chosen)}"
        return ""

    def _conflict(self, required: list[str], needs: list[Dependency]) -> str:
        for requirement in required:
            by = [need for need in needs if exclude(need.requirement, requirement)]
            if by:
                need = _newest(by)
                return f"{_needing(need)}, and {requirement} is required{self._chain(need)}"
        for index, need in enumerate(needs):
            for other in needs[index + 1 :]:
                apart = name_of(need.package) != name_of(other.package)
                if apart and exclude(need.requirement, other.requirement):
                    return f"{_needing(need)}, and {_needing(other)}"
        return ""

    def _chain(self, need: Dependency) -> str:
        """Return which package needs the package of a dependency, unless the user requires it."""
        name = name_of(need.package)
        if any(name_of(each) == name for each in self._facts.required):
            return ""
        by = [each for each in self._facts.dependencies if name_of(each.requirement) == name]
        return f"; {_needing(_newest(by))}" if by else ""

    def _whose(self, required: Sequence[str], needs: list[Dependency]) -> str:
        return "" if required or not needs else f", and {_newest(needs).package} needs it"

    def _python_names(self) -> dict[str, None]:
        return dict.fromkeys(name_of(need.package) for need in self._facts.pythons)

    def _other_python(self, name: str) -> str:
        need = _newest([each for each in self._facts.pythons if name_of(each.package) == name])
        return f"{need.package} needs Python {need.requirement}"

    def _unusable_subjects(self) -> list[str]:
        """Return the required packages whose older releases have no wheel either."""
        names = {name_of(each) for each in self._facts.required} & self._needed_by
        older = [
            [each for each in self._facts.wheelless if name_of(each) == name]
            for name in sorted(names)
        ]
        return [f"{each[0]} has no usable wheel" for each in older if len(each) == 1]


def _compatible(required: list[str], needs: list[Dependency]) -> list[Dependency]:
    """Return one dependency of each package, preferably compatible with the requirements."""
    chosen: list[Dependency] = []
    for name in dict.fromkeys(name_of(need.package) for need in needs):
        own = [need for need in needs if name_of(need.package) == name]
        fits = [
            need for need in own if not any(exclude(need.requirement, each) for each in required)
        ]
        chosen.append(_newest(fits or own))
    return chosen


def _newest(needs: list[Dependency]) -> Dependency:
    last = newest([need.package for need in needs])
    return next(need for need in needs if need.package == last)


def _needing(need: Dependency) -> str:
    return f"{need.package} needs {need.requirement}"


def _joined(required: Sequence[str], needs: Sequence[Dependency]) -> str:
    causes = [*(f"{each} is required" for each in required), *map(_needing, needs)]
    return ", and ".join(causes)
