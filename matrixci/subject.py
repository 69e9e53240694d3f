"""The subject: whatever the user names becomes a requirement, a wheel built of it if need be."""

import hashlib
import re
import sys
import tempfile
import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import RunFilesError, SubjectError
from matrixci.matrix.definition import SubjectKind, subject_kind
from matrixci.model import Subject
from matrixci.pip_settings import pip_environment
from matrixci.processes import run_process
from matrixci.redaction import redact
from matrixci.wording import listed

_BUILD_SECONDS = 1800.0
_END_LINES = 6
# What the build itself printed; what pip says around it doesn't tell why.
_PRINTED = re.compile(r"lines of output\]\n(.*?)\n *\[end of output\]", re.DOTALL)


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
            return _from_wheel(spec, await _build(spec, folder), requirement.extras)
        case SubjectKind.PATH:
            path = Path(spec).expanduser().resolve()
            if not path.exists():
                msg = f"The subject {spec} doesn't exist (looked for {path})."
                raise SubjectError(msg)
            wheel = path if path.suffix == ".whl" else await _build(str(path), folder)
            return _from_wheel(spec, wheel)
        case SubjectKind.URL:
            return _from_wheel(spec, await _build(spec, folder))
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
    for place in places:
        if place.is_file() and hashlib.sha256(place.read_bytes()).hexdigest() == subject.digest:
            return place
    looked = listed(str(place) for place in places)
    msg = (
        f"{subject.wheel} with SHA-256 {subject.digest} (looked for {looked}).\n"
        "Put it back there, or run the matrix anew."
    )
    raise SubjectError(msg)


def _from_requirement(spec: str, requirement: Requirement) -> ResolvedSubject:
    name = canonicalize_name(requirement.name)
    return ResolvedSubject(
        subject=Subject(name=name, spec=spec, requirement=str(requirement)), wheel=None
    )


def _from_wheel(spec: str, wheel: Path, extras: Collection[str] = ()) -> ResolvedSubject:
    try:
        name = parse_wheel_filename(wheel.name)[0]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
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
    )
    return ResolvedSubject(subject=subject, wheel=wheel)


async def _build(source: str, folder: Path) -> Path:
    """Build a wheel with pip, which knows every form of source; return where it is kept.

    Its place has its digest: what was built before stays as it is, whoever still reads it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as fresh:
            built = await _pip_wheel(source, Path(fresh))
            place = folder / hashlib.sha256(built.read_bytes()).hexdigest()[:16]
            place.mkdir(exist_ok=True)
            return built.replace(place / built.name)
    except OSError as error:
        msg = f"The subject's wheel can't be kept in {folder}: {error}"
        raise RunFilesError(msg) from error


async def _pip_wheel(source: str, folder: Path) -> Path:
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    argv += ["--disable-pip-version-check", f"--wheel-dir={folder}", source]
    try:
        done = await run_process(argv, env=pip_environment(), time_limit=_BUILD_SECONDS)
    except TimeoutError as error:
        msg = f"The subject {redact(source)} wasn't built within {_BUILD_SECONDS:.0f} s."
        raise SubjectError(msg) from error
    built = list(folder.glob("*.whl"))
    if done.exit_status != 0 or len(built) != 1:
        msg = f"The subject {redact(source)} can't be built into a wheel:\n{_end(done.stderr)}"
        raise SubjectError(msg)
    return built[0]


def _end(said: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", said)
    printed = _PRINTED.findall(text)
    lines = (printed[-1] if printed else text.strip()).splitlines()
    return textwrap.dedent("\n".join(lines[-_END_LINES:]))
