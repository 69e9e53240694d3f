"""The subject: whatever the user names becomes a requirement, a wheel built of it if need be."""

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from matrixci.errors import SubjectError
from matrixci.matrix import SubjectKind, subject_kind
from matrixci.model import Subject
from matrixci.processes import redact, run_process

_BUILD_SECONDS = 1800.0


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
    """
    match subject_kind(spec):
        case SubjectKind.REQUIREMENT:
            return _from_requirement(spec)
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


def _from_requirement(spec: str) -> ResolvedSubject:
    try:
        requirement = Requirement(spec)
    except InvalidRequirement as error:
        msg = f"The subject {spec!r} is no requirement: {error}"
        raise SubjectError(msg) from error
    name = canonicalize_name(requirement.name)
    return ResolvedSubject(
        subject=Subject(name=name, spec=redact(spec), requirement=str(requirement)), wheel=None
    )


def _from_wheel(spec: str, wheel: Path) -> ResolvedSubject:
    try:
        name = parse_wheel_filename(wheel.name)[0]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    except (InvalidWheelFilename, OSError) as error:
        msg = f"The subject {redact(spec)} is no wheel: {error}"
        raise SubjectError(msg) from error
    subject = Subject(
        name=name,
        spec=redact(spec),
        requirement=f"{name} @ {wheel.resolve().as_uri()}",
        wheel=wheel.name,
        digest=digest,
    )
    return ResolvedSubject(subject=subject, wheel=wheel)


async def _build(source: str, folder: Path) -> Path:
    """Build a wheel with pip, which knows every form of source."""
    folder.mkdir(parents=True, exist_ok=True)
    known = set(folder.glob("*.whl"))
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    argv += ["--disable-pip-version-check", f"--wheel-dir={folder}", source]
    try:
        done = await run_process(argv, time_limit=_BUILD_SECONDS)
    except TimeoutError as error:
        msg = f"The subject {redact(source)} wasn't built within {_BUILD_SECONDS:.0f} s."
        raise SubjectError(msg) from error
    built = set(folder.glob("*.whl")) - known
    if done.exit_status != 0 or len(built) != 1:
        end = "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip().splitlines()[-6:])
        msg = f"The subject {redact(source)} can't be built into a wheel:\n{end}"
        raise SubjectError(msg)
    return built.pop()
