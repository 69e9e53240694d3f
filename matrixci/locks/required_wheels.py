"""Build or download the wheels of requirements with a URL, before a run starts."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import SubjectError
from matrixci.locks.own_wheels import StoredWheel
from matrixci.locks.wheel_build import (
    BuiltWheel,
    WheelSource,
    build_wheel,
    download_wheel,
    file_name,
)
from matrixci.locks.wheel_fit import marker_applies, wheel_fits
from matrixci.matrix.selection import SelectedCells
from matrixci.model import Cell, OwnWheel
from matrixci.util.git import commit_of
from matrixci.util.redaction import redact
from matrixci.util.text import listed

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _UrlRequirement:
    """A requirement with a URL, and the Pythons of the cells that it applies to."""

    spec: str
    """Without credentials."""
    parsed: Requirement
    url: str
    pythons: tuple[str, ...]

    @property
    def label(self) -> str:
        return f'The requirement "{self.spec}"'


def without_credentials(chosen: SelectedCells) -> SelectedCells:
    """Return cells whose requirements have no credentials in URLs, to store and print."""
    return replace(chosen, cells=tuple(map(_shown, chosen.cells)))


def _shown(cell: Cell) -> Cell:
    return cell.model_copy(update={"requires": tuple(map(redact, cell.requires))})


async def make_wheels(cells: Sequence[Cell], folder: Path, say: Say) -> tuple[StoredWheel, ...]:
    """Build or download a wheel for each requirement with a URL.

    Args:
        cells: cells with their requirements as written in matrix.yaml.
        folder: receives the wheels.
        say: receives a progress line for each wheel.

    Raises:
        SubjectError: a wheel cannot be built or downloaded, or fits no cell; names every one.
        RunFilesError: the folder cannot be written.
    """
    requirements = _url_requirements(cells)
    for each in requirements:
        say(f"preparing the wheel of {each.spec}")
    by_url = {each.url: each for each in requirements}
    slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def make(each: _UrlRequirement) -> BuiltWheel:
        async with slots:
            return await _make(each, folder)

    done = await asyncio.gather(*map(make, by_url.values()), return_exceptions=True)
    built = {url: one for url, one in zip(by_url, done, strict=True) if isinstance(one, BuiltWheel)}
    _raise_failures([one for one in done if not isinstance(one, BuiltWheel)])
    return tuple(_kept(each, built[each.url]) for each in requirements)


def _raise_failures(errors: Sequence[BaseException]) -> None:
    """Raise the first unexpected error, or else one error with all messages.

    Raises:
        SubjectError: some wheels could not be built or downloaded.
    """
    for error in errors:
        if not isinstance(error, SubjectError):
            raise error
    if errors:
        raise SubjectError("\n".join(map(str, errors)))


def _url_requirements(cells: Iterable[Cell]) -> list[_UrlRequirement]:
    """Return the requirements with a URL that apply to at least one cell, each once."""
    found: dict[str, _UrlRequirement] = {}
    for cell in cells:
        for text in cell.requires:
            requirement, spec = Requirement(text), redact(text)
            if requirement.url is None or not marker_applies(requirement, cell.python):
                continue
            before = found[spec].pythons if spec in found else ()
            found[spec] = _UrlRequirement(
                spec=spec,
                parsed=requirement,
                url=requirement.url,
                pythons=tuple(dict.fromkeys([*before, cell.python])),
            )
    return list(found.values())


async def _make(requirement: _UrlRequirement, folder: Path) -> BuiltWheel:
    path = _local_path(requirement)
    commit = commit_of(path) if path and path.is_dir() else None  # a build may change files
    source = WheelSource(location=requirement.url, label=requirement.label)
    if file_name(requirement.url).endswith(".whl"):
        return await download_wheel(source, folder)
    built = await build_wheel(source, folder)
    return replace(built, commit=commit or built.commit)


def _local_path(requirement: _UrlRequirement) -> Path | None:
    """Return the local file or folder of a requirement, or None if its URL is not a file URL.

    Raises:
        SubjectError: the path does not exist.
    """
    parts = urlsplit(requirement.url)
    if parts.scheme != "file":
        return None
    path = Path(unquote(parts.path))
    if not path.exists():
        msg = f"{requirement.label}: {path} does not exist."
        raise SubjectError(msg)
    return path


def _kept(requirement: _UrlRequirement, built: BuiltWheel) -> StoredWheel:
    name = canonicalize_name(requirement.parsed.name)
    _reject_unfit(requirement, name, built.path.name)
    extras = f"[{','.join(sorted(requirement.parsed.extras))}]" if requirement.parsed.extras else ""
    marker = f" ; {requirement.parsed.marker}" if requirement.parsed.marker else ""
    url = f"{built.path.resolve().as_uri()}#sha256={built.digest}"
    wheel = OwnWheel(
        name=name,
        spec=requirement.spec,
        origin=_origin(redact(requirement.url), built.commit),
        requirement=f"{name}{extras} @ {url}{marker}",
        wheel=built.path.name,
        digest=built.digest,
        commit=built.commit,
    )
    return StoredWheel(wheel=wheel, path=built.path)


def _origin(url: str, commit: str | None) -> str:
    """Return a URL; in the URL of a repository the commit replaces the branch or tag."""
    place, mark, fragment = url.partition("#")
    if commit is None or "+" not in place.partition("://")[0]:
        return url
    scheme, host, path = place.partition("://")[0], *place.partition("://")[2].partition("/")[::2]
    path = path.rpartition("@")[0] or path
    return f"{scheme}://{host}/{path}@{commit}{mark}{fragment}"


def _reject_unfit(requirement: _UrlRequirement, name: str, wheel: str) -> None:
    """Reject a wheel of another package, or one that no cell can install.

    Raises:
        SubjectError: the wheel is rejected.
    """
    try:
        found = parse_wheel_filename(wheel)[0]
    except InvalidWheelFilename as error:
        msg = f"{requirement.label} is not a wheel: {error}"
        raise SubjectError(msg) from error
    if found != name:
        msg = f"{requirement.label} is the package {found}, not {name}."
        raise SubjectError(msg)
    if not any(wheel_fits(wheel, python) for python in requirement.pythons):
        pythons = listed(requirement.pythons)
        msg = (
            f"{requirement.label} is the wheel {wheel}, which cannot be installed on Linux "
            f"with Python {pythons}."
        )
        raise SubjectError(msg)
