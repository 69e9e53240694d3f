"""Build or download a wheel with pip, and keep it under its digest."""

import hashlib
import re
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from matrixci.errors import RunFilesError, SubjectError
from matrixci.locks.pip_settings import pip_environment
from matrixci.util.subprocesses import run_process

_ZIP_EPOCH: Final = 315532800  # 1980, the first year of a ZIP file
BUILD_SECONDS: Final = 1800.0
_END_LINES: Final = 6
# What the build itself printed; what pip says around it doesn't tell why.
_PRINTED: Final = re.compile(r"lines of output\]\n(.*?)\n *\[end of output\]", re.DOTALL)
# What git, ssh or another program printed before pip says that it failed.
_FATAL: Final = re.compile(
    r"^ *((?:fatal|remote|abort|ssh): .*|error: pathspec .*|\S+: Permission denied .*)",
    re.MULTILINE,
)
_NOISE: Final = re.compile(r" *(?:hint|note): | *WARNING: Retrying |\s*\Z")
_COMMIT: Final = re.compile(r"Resolved \S+ to commit ([0-9a-f]{40,64})\s")
_PINNED: Final = re.compile(r"@([0-9a-f]{40,64})(?=#|\Z)")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a wheel is made from."""

    location: str
    """A path, a URL, or a requirement with a URL."""
    label: str
    """What messages call it, without credentials: `The subject ./toy`."""
    epoch: int = _ZIP_EPOCH
    """Time of the wheel's files, in seconds since 1970; the same source is to be the same wheel."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A wheel that is kept, and the commit that it was built from."""

    path: Path
    digest: str
    """SHA-256, in hex."""
    commit: str | None
    """None where it does not come from a repository."""


async def build_wheel(source: Source, folder: Path) -> Built:
    """Build a wheel with pip, which knows every form of source.

    Args:
        source: what it is built from.
        folder: keeps the wheel, in a folder named after its digest, so that an earlier wheel of
            the same name stays as it is.

    Raises:
        SubjectError: it can't be built.
        RunFilesError: the folder can't be written.
    """
    words = ["wheel", "--no-deps", "--disable-pip-version-check"]
    return await _made(source, words, "--wheel-dir", folder)


async def download_wheel(source: Source, folder: Path) -> Built:
    """Download or copy a wheel with pip, whatever Python and platform it is for.

    Args:
        source: its URL.
        folder: keeps the wheel, in a folder named after its digest.

    Raises:
        SubjectError: it can't be fetched, or is no wheel.
        RunFilesError: the folder can't be written.
    """
    words = ["download", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:"]
    words += ["--ignore-requires-python", *_target(source)]
    return await _made(source, words, "--dest", folder)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex; a wheel may be larger than what memory is free.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_name(url: str) -> str:
    """Return the name of the file that a URL names."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _target(source: Source) -> list[str]:
    """Return pip's options for the platform of a wheel: pip refuses what does not fit its own."""
    try:
        tags = sorted(parse_wheel_filename(file_name(source.location))[3], key=str)
    except InvalidWheelFilename as error:
        msg = f"{source.label} is no wheel: {error}"
        raise SubjectError(msg) from error
    return [] if any(str(tag) == "py3-none-any" for tag in tags) else _options(tags[0])


def _options(tag: Tag) -> list[str]:
    implementation, python = tag.interpreter[:2], tag.interpreter[2:]
    return [
        f"--implementation={implementation}",
        f"--python-version={python}",
        f"--abi={tag.abi}",
        f"--platform={tag.platform}",
    ]


async def _made(source: Source, words: list[str], option: str, folder: Path) -> Built:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as fresh:
            wheel, commit = await _pip(source, [*words, f"{option}={fresh}"], Path(fresh))
            digest = digest_of_file(wheel)
            place = folder / digest[:16]
            place.mkdir(exist_ok=True)
            return Built(path=wheel.replace(place / wheel.name), digest=digest, commit=commit)
    except OSError as error:
        msg = f"{source.label}: its wheel can't be kept in {folder}: {error}"
        raise RunFilesError(msg) from error


async def _pip(source: Source, words: list[str], folder: Path) -> tuple[Path, str | None]:
    argv = [sys.executable, "-m", "pip", *words, source.location]
    environment = {"SOURCE_DATE_EPOCH": str(source.epoch), **pip_environment()}
    try:
        done = await run_process(argv, env=environment, time_limit=BUILD_SECONDS)
    except TimeoutError as error:
        msg = f"{source.label} wasn't built within {BUILD_SECONDS:.0f} s."
        raise SubjectError(msg) from error
    built = list(folder.glob("*.whl"))
    if done.exit_status != 0 or len(built) != 1:
        what = "fetched" if words[0] == "download" else "built into a wheel"
        msg = f"{source.label} can't be {what}:\n{_end(done.stderr)}"
        raise SubjectError(msg)
    found = _COMMIT.search(done.stdout) or _PINNED.search(source.location)
    return built[0], found[1] if found else None


def _end(said: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", said)
    printed = _PRINTED.findall(text)
    if printed:
        lines = printed[-1].splitlines()
    elif "Traceback (most recent call last)" in text:  # pip's own
        lines = text.strip().splitlines()[-1:]
    else:
        lines = _FATAL.findall(text) or text.strip().splitlines()
        lines = [line for line in lines if not _NOISE.match(line)]
    return textwrap.dedent("\n".join(lines[-_END_LINES:]))
