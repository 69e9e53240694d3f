"""Make the wheels of requirements with a URL before a run begins."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import SubjectError
from matrixci.locks.own_wheels import KeptWheel
from matrixci.locks.wheel_build import Built, Source, build_wheel, download_wheel, file_name
from matrixci.locks.wheel_fit import applies, fits
from matrixci.matrix.cells import Chosen
from matrixci.model import Cell, OwnWheel
from matrixci.util.git import commit_of
from matrixci.util.redaction import redact
from matrixci.util.text import listed

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A requirement with a URL, and the Pythons of the cells that it applies to."""

    spec: str
    """Without credentials."""
    requirement: Requirement
    url: str
    pythons: tuple[str, ...]

    @property
    def label(self) -> str:
        return f'The requirement "{self.spec}"'


def without_credentials(chosen: Chosen) -> Chosen:
    """Return cells whose requirements can be stored and shown: without passwords in URLs."""
    return replace(chosen, cells=tuple(map(_shown, chosen.cells)))


def _shown(cell: Cell) -> Cell:
    return cell.model_copy(update={"requires": tuple(map(redact, cell.requires))})


async def make_wheels(cells: Sequence[Cell], folder: Path, say: Say) -> tuple[KeptWheel, ...]:
    """Build or download a wheel for each requirement with a URL that some cells have.

    Args:
        cells: with their requirements as matrix.yaml has them.
        folder: keeps the wheels.
        say: receives a line for each wheel that is made.

    Raises:
        SubjectError: some can't be made, or fit no cell; the message names each.
        RunFilesError: the folder can't be written.
    """
    asked = _asked(cells)
    for each in asked:
        say(f"making a wheel of {each.spec}")
    by_url = {each.url: each for each in asked}
    slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def make(each: _Asked) -> Built:
        async with slots:
            return await _make(each, folder)

    done = await asyncio.gather(*map(make, by_url.values()), return_exceptions=True)
    built = {url: one for url, one in zip(by_url, done, strict=True) if isinstance(one, Built)}
    _refuse_failed([one for one in done if not isinstance(one, Built)])
    return tuple(_kept(each, built[each.url]) for each in asked)


def _refuse_failed(errors: Sequence[BaseException]) -> None:
    """Raise the errors, those of requirements as one.

    Raises:
        SubjectError: all that is wrong with the requirements.
    """
    for error in errors:
        if not isinstance(error, SubjectError):
            raise error
    if errors:
        raise SubjectError("\n".join(map(str, errors)))


def _asked(cells: Iterable[Cell]) -> list[_Asked]:
    """Return the requirements with a URL that apply to at least one cell, each once."""
    found: dict[str, _Asked] = {}
    for cell in cells:
        for text in cell.requires:
            requirement, spec = Requirement(text), redact(text)
            if requirement.url is None or not applies(requirement, cell.python):
                continue
            before = found[spec].pythons if spec in found else ()
            found[spec] = _Asked(
                spec=spec,
                requirement=requirement,
                url=requirement.url,
                pythons=tuple(dict.fromkeys([*before, cell.python])),
            )
    return list(found.values())


async def _make(asked: _Asked, folder: Path) -> Built:
    path = _local_path(asked)
    commit = commit_of(path) if path and path.is_dir() else None  # before the build changes files
    source = Source(location=asked.url, label=asked.label)
    if file_name(asked.url).endswith(".whl"):
        return await download_wheel(source, folder)
    built = await build_wheel(source, folder)
    return replace(built, commit=commit or built.commit)


def _local_path(asked: _Asked) -> Path | None:
    """Return the file or folder that a requirement names, None where it is elsewhere.

    Raises:
        SubjectError: it does not exist.
    """
    parts = urlsplit(asked.url)
    if parts.scheme != "file":
        return None
    path = Path(unquote(parts.path))
    if not path.exists():
        msg = f"{asked.label}: {path} does not exist."
        raise SubjectError(msg)
    return path


def _kept(asked: _Asked, built: Built) -> KeptWheel:
    name = canonicalize_name(asked.requirement.name)
    _refuse_unfit(asked, name, built.path.name)
    extras = f"[{','.join(sorted(asked.requirement.extras))}]" if asked.requirement.extras else ""
    marker = f" ; {asked.requirement.marker}" if asked.requirement.marker else ""
    url = f"{built.path.resolve().as_uri()}#sha256={built.digest}"
    wheel = OwnWheel(
        name=name,
        spec=asked.spec,
        origin=_origin(redact(asked.url), built.commit),
        requirement=f"{name}{extras} @ {url}{marker}",
        wheel=built.path.name,
        digest=built.digest,
        commit=built.commit,
    )
    return KeptWheel(wheel=wheel, path=built.path)


def _origin(url: str, commit: str | None) -> str:
    """Return a URL, that of a repository with the commit in the place of a branch or tag."""
    place, mark, fragment = url.partition("#")
    if commit is None or "+" not in place.partition("://")[0]:
        return url
    scheme, host, path = place.partition("://")[0], *place.partition("://")[2].partition("/")[::2]
    path = path.rpartition("@")[0] or path
    return f"{scheme}://{host}/{path}@{commit}{mark}{fragment}"


def _refuse_unfit(asked: _Asked, name: str, wheel: str) -> None:
    """Refuse a wheel of another package, or one that none of the cells can install.

    Raises:
        SubjectError: it is such a wheel.
    """
    try:
        found = parse_wheel_filename(wheel)[0]
    except InvalidWheelFilename as error:
        msg = f"{asked.label} is no wheel: {error}"
        raise SubjectError(msg) from error
    if found != name:
        msg = f"{asked.label} is a package named {found}, not {name}."
        raise SubjectError(msg)
    if not any(fits(wheel, python) for python in asked.pythons):
        pythons = listed(asked.pythons)
        msg = f"{asked.label} is the wheel {wheel}, which is not for Linux with Python {pythons}."
        raise SubjectError(msg)
