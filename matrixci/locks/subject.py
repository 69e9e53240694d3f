"""The subject: whatever the user names becomes a requirement, a wheel built of it if need be."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import SubjectError
from matrixci.locks.wheel_build import Built, Source, build_wheel, digest_of_file
from matrixci.matrix.definition import SubjectKind, subject_kind
from matrixci.model import Subject
from matrixci.util.git import commit_of, time_of_commit
from matrixci.util.redaction import redact
from matrixci.util.text import listed


@dataclass(frozen=True, kw_only=True)
class ResolvedSubject:
    """The subject, with its wheel where it is one of our own."""

    subject: Subject
    wheel: Path | None


async def resolve_subject(spec: str, folder: Path) -> ResolvedSubject:
    """Turn what the user wrote into a requirement.

    A path or URL becomes a wheel first: what runs in each cell is then one and the same file.

    Args:
        spec: a requirement, a path to a wheel, an archive or a folder, or a URL (git+https://...).
        folder: takes a wheel that is built.

    Raises:
        SubjectError: it is none of these, doesn't exist, or can't be built.
        RunFilesError: the folder can't be written.
    """
    spec = spec.strip()
    match subject_kind(spec):
        case SubjectKind.REQUIREMENT:
            requirement = Requirement(spec)
            if requirement.url is None:
                return _from_requirement(spec, requirement)
            built = await _build(spec, folder)
            return _from_wheel(spec, built.path, built.commit, requirement.extras)
        case SubjectKind.PATH:
            path = Path(spec).expanduser().resolve()
            if not path.exists():
                msg = f"The subject {spec} doesn't exist (looked for {path})."
                raise SubjectError(msg)
            if path.suffix == ".whl":
                return _from_wheel(spec, path)
            commit = commit_of(path) if path.is_dir() else None  # before the build changes files
            epoch = time_of_commit(path) if commit else None
            return _from_wheel(spec, (await _build(str(path), folder, epoch)).path, commit)
        case SubjectKind.URL:
            built = await _build(spec, folder)
            return _from_wheel(spec, built.path, built.commit)
        case _ as never:
            assert_never(never)


def kept_wheel(subject: Subject, home: Path, *more: Path) -> Path | None:
    """Return the wheel that a run's subject is, None where it is none of our own.

    Args:
        subject: as the run recorded it.
        home: where built wheels are kept.
        more: other folders to look in, first.

    Raises:
        SubjectError: it is gone, or another file by now.
    """
    if subject.wheel is None:
        return None
    url = subject.requirement.partition(" @ ")[2].partition("#")[0]
    places = [folder / subject.wheel for folder in more]
    places += [Path(unquote(urlsplit(url).path)), *(home / "subjects").glob(f"*/{subject.wheel}")]
    return find_wheel(subject.wheel, subject.digest, places)


def find_wheel(name: str, digest: str | None, places: Iterable[Path]) -> Path:
    """Return the first of some files that is a wheel with this digest.

    Args:
        name: its file name, for the message.
        digest: SHA-256, in hex.
        places: where it may be.

    Raises:
        SubjectError: none of them is.
    """
    looked = []
    for place in places:
        if place.is_file() and digest_of_file(place) == digest:
            return place
        looked.append(str(place))
    msg = (
        f"{name} with SHA-256 {digest} (looked for {listed(looked)}).\n"
        "Put it back there, or run the matrix anew."
    )
    raise SubjectError(msg)


def _from_requirement(spec: str, requirement: Requirement) -> ResolvedSubject:
    name = canonicalize_name(requirement.name)
    return ResolvedSubject(
        subject=Subject(name=name, spec=spec, requirement=str(requirement)), wheel=None
    )


def _from_wheel(
    spec: str, wheel: Path, commit: str | None = None, extras: Collection[str] = ()
) -> ResolvedSubject:
    try:
        name = parse_wheel_filename(wheel.name)[0]
        digest = digest_of_file(wheel)
    except (InvalidWheelFilename, OSError) as error:
        msg = f"The subject {redact(spec)} is no wheel: {error}"
        raise SubjectError(msg) from error
    wanted = f"{name}[{','.join(sorted(extras))}]" if extras else name
    subject = Subject(
        name=name,
        spec=redact(spec),
        # With its digest: another wheel of the same name is another requirement.
        requirement=f"{wanted} @ {wheel.resolve().as_uri()}#sha256={digest}",
        wheel=wheel.name,
        digest=digest,
        commit=commit,
    )
    return ResolvedSubject(subject=subject, wheel=wheel)


async def _build(source: str, folder: Path, epoch: int | None = None) -> Built:
    what = Source(location=source, label=f"The subject {redact(source)}")
    return await build_wheel(what if epoch is None else replace(what, epoch=epoch), folder)
