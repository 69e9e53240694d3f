"""Requirements that name no release at all: a misspelt package, a version that does not exist.

A cell with such a requirement proves nothing about the subject, so the command is refused. A
requirement that only this Python or another requirement rules out is left to its cells.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from matrixci.errors import ResolverError, RunFilesError, UsageError
from matrixci.locks.derivation import exclude
from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.resolver import HARNESS_REQUIREMENTS, Resolver
from matrixci.locks.unsatisfiable import derivation_of
from matrixci.model import Cell, Subject
from matrixci.util.text import listed, nearest


async def refuse_unknown(
    resolver: Resolver,
    cells: Sequence[Cell],
    subject: Subject,
    common: Sequence[str],
    as_of: date | None = None,
) -> None:
    """Do nothing where the index has a release for each requirement, or cannot be asked.

    Args:
        resolver: asked for the cells' locks, which it keeps.
        cells: the cells.
        subject: their subject.
        common: what all of them require beside it. A version that does not exist is a mistake
            there; a value of an axis may wait for one that is yet to come.
        as_of: what did not exist on this day is no mistake; a name that never existed is.

    Raises:
        UsageError: the index has no package of that name, or none of its versions is meant.
        ResolverError: the index has none of the packages that everybody needs, either.
    """
    mistakes = []
    try:
        for requirement, cell in (await _unlocked(resolver, cells, subject)).items():
            own = requirement == subject.requirement
            versions = as_of is None and (own or requirement in common)
            if told := await _mistake(resolver, requirement, cell, versions=versions):
                source = "the subject" if own else "a requirement of matrix.yaml"
                mistakes.append(f"{told} ({source}){await _hint(resolver, requirement, subject)}")
        if mistakes and await _mistake(resolver, HARNESS_REQUIREMENTS[0], cells[0], versions=False):
            msg = f"{mistakes[0]}\nIt has no pytest either: is it the index that was meant?"
            raise ResolverError(msg)
    except RunFilesError:
        return  # the run says so
    if mistakes:
        raise UsageError("\n".join(mistakes))


async def _unlocked(resolver: Resolver, cells: Sequence[Cell], subject: Subject) -> dict[str, Cell]:
    """Return the requirements of the index that are in no lock, each with its newest cell."""
    wanted: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda each: Version(each.python)):
        for text in (subject.requirement, *cell.requires):
            if Requirement(text).url is None:
                wanted[text] = cell
    for cell in cells:
        mine = wanted.keys() & {subject.requirement, *cell.requires}
        if not mine:
            continue
        try:
            answer = await resolver.resolve(cell, subject)
        except ResolverError:
            return {}  # the cell says so, after other attempts
        if isinstance(answer, Lock):
            for text in mine:
                del wanted[text]
    return wanted


async def _mistake(
    resolver: Resolver, requirement: str, cell: Cell, *, versions: bool
) -> str | None:
    """Return what is wrong with a requirement, None where nothing is or the index has it."""
    answer = await resolver.probe([requirement], cell)
    if not isinstance(answer, Unsatisfiable):
        return None
    facts = derivation_of(answer.detail)
    if not facts.understood:
        return None
    parsed = Requirement(requirement)
    if canonicalize_name(parsed.name) in map(canonicalize_name, facts.unknown):
        return f"The package index has no package named {parsed.name}"
    # A local version such as 2.12+cpu may be on an index that can't be reached now.
    asked = f"{parsed.name}{parsed.specifier}"
    having = [each for ranges in facts.available.values() for each in ranges]
    absent = asked in facts.absent or (having and all(exclude(asked, each) for each in having))
    if not absent or not versions or any("+" in clause.version for clause in parsed.specifier):
        return None
    only = f": only {listed(having)} is available" if having else ""
    return f"The package index has no {asked}{only}"


async def _hint(resolver: Resolver, requirement: str, subject: Subject) -> str:
    name = Requirement(requirement).name
    if requirement == subject.requirement and Path(name).is_dir():
        return f". For the folder of that name here write ./{name}"
    near = nearest(name, resolver.known_names() - {name})
    return f'. Did you mean "{near}"?' if near else ""
