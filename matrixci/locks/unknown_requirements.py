"""Detect requirements that match no release: a misspelt package, a version that does not exist.

A cell with such a requirement proves nothing about the subject, so the command stops with a usage
error. A requirement that only some Python or another requirement rules out is left to its cells.
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


async def reject_unknown(
    resolver: Resolver,
    cells: Sequence[Cell],
    subject: Subject,
    common: Sequence[str],
    as_of: date | None = None,
) -> None:
    """Check that the index has a release for each requirement; pass if it cannot be queried.

    Args:
        resolver: resolves the cells, and caches the answers.
        cells: the cells.
        subject: the subject of the cells.
        common: the requirements of all cells. A version of these must exist; a value of an axis
            may name a version that is not released yet.
        as_of: versions need not have existed on this day, but package names must.

    Raises:
        UsageError: the index does not have the package, or no version of it matches.
        ResolverError: the index does not even have pytest.
    """
    mistakes = []
    try:
        for requirement, cell in (await _unlocked(resolver, cells, subject)).items():
            own = requirement == subject.requirement
            versions = as_of is None and (own or requirement in common)
            if mistake := await _mistake(resolver, requirement, cell, versions=versions):
                source = "the subject" if own else "a requirement of matrix.yaml"
                mistakes.append(
                    f"{mistake} ({source}){await _hint(resolver, requirement, subject)}"
                )
        if mistakes and await _mistake(resolver, HARNESS_REQUIREMENTS[0], cells[0], versions=False):
            msg = f"{mistakes[0]}\nIt does not have pytest either. Is this the right index?"
            raise ResolverError(msg)
    except RunFilesError:
        return  # the run reports it
    if mistakes:
        raise UsageError("\n".join(mistakes))


async def _unlocked(resolver: Resolver, cells: Sequence[Cell], subject: Subject) -> dict[str, Cell]:
    """Return the index requirements that no lock meets, each with its newest cell."""
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
            return {}  # the cell reports it, after retries
        if isinstance(answer, Lock):
            for text in mine:
                del wanted[text]
    return wanted


async def _mistake(
    resolver: Resolver, requirement: str, cell: Cell, *, versions: bool
) -> str | None:
    """Return the mistake in a requirement, or None if the index has it."""
    answer = await resolver.probe([requirement], cell)
    if not isinstance(answer, Unsatisfiable):
        return None
    facts = derivation_of(answer.detail)
    if not facts.understood:
        return None
    parsed = Requirement(requirement)
    if canonicalize_name(parsed.name) in map(canonicalize_name, facts.unknown):
        return f"The package index does not have {parsed.name}"
    # A local version such as 2.12+cpu may be in an index that is unreachable now.
    text = f"{parsed.name}{parsed.specifier}"
    having = [each for ranges in facts.available.values() for each in ranges]
    absent = text in facts.absent or (having and all(exclude(text, each) for each in having))
    if not absent or not versions or any("+" in clause.version for clause in parsed.specifier):
        return None
    only = f": only {listed(having)} is available" if having else ""
    return f"The package index does not have {text}{only}"


async def _hint(resolver: Resolver, requirement: str, subject: Subject) -> str:
    name = Requirement(requirement).name
    if requirement == subject.requirement and Path(name).is_dir():
        return f". To test the folder of that name, write ./{name}"
    near = nearest(name, resolver.known_names() - {name})
    return f'. Did you mean "{near}"?' if near else ""
