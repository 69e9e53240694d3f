"""Turn the subject that the user names into a requirement, building a wheel if necessary."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import SubjectError
from matrixci.locks.wheel_build import BuiltWheel, WheelSource, build_wheel, digest_of_file
from matrixci.matrix.subject_kind import SubjectKind, subject_kind
from matrixci.model import Subject
from matrixci.util.git import commit_of, time_of_commit
from matrixci.util.redaction import redact
from matrixci.util.text import listed


@dataclass(frozen=True, kw_only=True)
class ResolvedSubject:
    """The subject, with its wheel if it is an own wheel."""

    subject: Subject
    wheel: Path | None


async def resolve_subject(spec: str, folder: Path) -> ResolvedSubject:
    """Return the subject as a requirement.

    A path or URL is built into a wheel first, so that every cell installs the same file.

    Args:
        spec: a requirement, a path to a wheel, an archive or a folder, or a URL (git+https://...).
        folder: receives the built wheel.

    Raises:
        SubjectError: the spec is none of these, does not exist, or cannot be built.
        RunFilesError: the folder cannot be written.
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
                msg = f"The subject {spec} does not exist (looked for {path})."
                raise SubjectError(msg)
            if path.suffix == ".whl":
                return _from_wheel(spec, path)
            commit = commit_of(path) if path.is_dir() else None  # a build may change files
            epoch = time_of_commit(path) if commit else None
            return _from_wheel(spec, (await _build(str(path), folder, epoch)).path, commit)
        case SubjectKind.URL:
            built = await _build(spec, folder)
            return _from_wheel(spec, built.path, built.commit)
        case _ as never:
            assert_never(never)


def subject_wheel(subject: Subject, work_dir: Path, *more: Path) -> Path | None:
    """Return the wheel of a run's subject, or None if the subject is not an own wheel.

    Args:
        subject: the subject recorded in the run.
        work_dir: the work directory.
        more: other folders to search first.

    Raises:
        SubjectError: the file is missing, or its contents have changed.
    """
    if subject.wheel is None:
        return None
    url = subject.requirement.partition(" @ ")[2].partition("#")[0]
    places = [folder / subject.wheel for folder in more]
    places += [
        Path(unquote(urlsplit(url).path)),
        *(work_dir / "subjects").glob(f"*/{subject.wheel}"),
    ]
    return find_wheel(subject.wheel, subject.digest, places)


def find_wheel(name: str, digest: str | None, places: Iterable[Path]) -> Path:
    """Return the first of several files that has a digest.

    Args:
        name: beginning of the error message.
        digest: SHA-256, in hex.
        places: the files to search.

    Raises:
        SubjectError: no file has the digest.
    """
    searched = []
    for place in places:
        if place.is_file() and digest_of_file(place) == digest:
            return place
        searched.append(str(place))
    msg = (
        f"{name} with SHA-256 {digest} (looked for {listed(searched)}).\n"
        "Restore the file, or run the matrix again."
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
        msg = f"The subject {redact(spec)} is not a wheel: {error}"
        raise SubjectError(msg) from error
    target = f"{name}[{','.join(sorted(extras))}]" if extras else name
    subject = Subject(
        name=name,
        spec=redact(spec),
        # The digest makes another wheel of the same name a different requirement.
        requirement=f"{target} @ {wheel.resolve().as_uri()}#sha256={digest}",
        wheel=wheel.name,
        digest=digest,
        commit=commit,
    )
    return ResolvedSubject(subject=subject, wheel=wheel)


async def _build(source: str, folder: Path, epoch: int | None = None) -> BuiltWheel:
    wheel_source = WheelSource(location=source, label=f"The subject {redact(source)}")
    if epoch is not None:
        wheel_source = replace(wheel_source, epoch=epoch)
    return await build_wheel(wheel_source, folder)
