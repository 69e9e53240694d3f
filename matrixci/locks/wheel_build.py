"""Build or download a wheel with pip, and store it by its digest."""

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
# Output of the build itself; pip's own lines around it do not explain a failure.
_PRINTED: Final = re.compile(r"lines of output\]\n(.*?)\n *\[end of output\]", re.DOTALL)
# Output of git, ssh and other programs that pip runs.
_FATAL: Final = re.compile(
    r"^ *((?:fatal|remote|abort|ssh): .*|error: pathspec .*|\S+: Permission denied .*)",
    re.MULTILINE,
)
_NOISE: Final = re.compile(r" *(?:hint|note): | *WARNING: Retrying |\s*\Z")
_COMMIT: Final = re.compile(r"Resolved \S+ to commit ([0-9a-f]{40,64})\s")
_PINNED: Final = re.compile(r"@([0-9a-f]{40,64})(?=#|\Z)")


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """Source of a wheel."""

    location: str
    """A path, a URL, or a requirement with a URL."""
    label: str
    """Name in messages, without credentials, such as `The subject ./toy`."""
    epoch: int = _ZIP_EPOCH
    """Timestamp of the files in the wheel, in seconds since 1970, for reproducible builds."""


@dataclass(frozen=True, kw_only=True)
class BuiltWheel:
    """A stored wheel and the commit that it was built from."""

    path: Path
    digest: str
    """SHA-256, in hex."""
    commit: str | None
    """None if the source is not a repository."""


async def build_wheel(source: WheelSource, folder: Path) -> BuiltWheel:
    """Build a wheel with pip, which supports every kind of source.

    Args:
        source: the source.
        folder: receives the wheel, in a subfolder named after its digest, so that an earlier
            wheel of the same name is not overwritten.

    Raises:
        SubjectError: the build failed.
        RunFilesError: the folder cannot be written.
    """
    words = ["wheel", "--no-deps", "--disable-pip-version-check"]
    return await _store(source, words, "--wheel-dir", folder)


async def download_wheel(source: WheelSource, folder: Path) -> BuiltWheel:
    """Download or copy a wheel with pip, for any Python and platform.

    Args:
        source: the URL.
        folder: receives the wheel, in a subfolder named after its digest.

    Raises:
        SubjectError: the download failed, or the file is not a wheel.
        RunFilesError: the folder cannot be written.
    """
    words = ["download", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:"]
    words += ["--ignore-requires-python", *_target(source)]
    return await _store(source, words, "--dest", folder)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, without reading the whole file into memory.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_name(url: str) -> str:
    """Return the file name in a URL."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _target(source: WheelSource) -> list[str]:
    """Return the options that make pip accept a wheel for another Python or platform."""
    try:
        tags = sorted(parse_wheel_filename(file_name(source.location))[3], key=str)
    except InvalidWheelFilename as error:
        msg = f"{source.label} is not a wheel: {error}"
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


async def _store(source: WheelSource, words: list[str], option: str, folder: Path) -> BuiltWheel:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as fresh:
            wheel, commit = await _pip(source, [*words, f"{option}={fresh}"], Path(fresh))
            digest = digest_of_file(wheel)
            place = folder / digest[:16]
            place.mkdir(exist_ok=True)
            return BuiltWheel(path=wheel.replace(place / wheel.name), digest=digest, commit=commit)
    except OSError as error:
        msg = f"{source.label}: cannot store the wheel in {folder}: {error}"
        raise RunFilesError(msg) from error


async def _pip(source: WheelSource, words: list[str], folder: Path) -> tuple[Path, str | None]:
    argv = [sys.executable, "-m", "pip", *words, source.location]
    environment = {"SOURCE_DATE_EPOCH": str(source.epoch), **pip_environment()}
    try:
        done = await run_process(argv, env=environment, time_limit=BUILD_SECONDS)
    except TimeoutError as error:
        msg = f"{source.label} was not built within {BUILD_SECONDS:.0f} s."
        raise SubjectError(msg) from error
    built = list(folder.glob("*.whl"))
    if done.exit_status != 0 or len(built) != 1:
        what = "downloaded" if words[0] == "download" else "built into a wheel"
        msg = f"{source.label} cannot be {what}:\n{_end(done.stderr)}"
        raise SubjectError(msg)
    found = _COMMIT.search(done.stdout) or _PINNED.search(source.location)
    return built[0], found[1] if found else None


def _end(output: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", output)
    printed = _PRINTED.findall(text)
    if printed:
        lines = printed[-1].splitlines()
    elif "Traceback (most recent call last)" in text:  # a bug of pip
        lines = text.strip().splitlines()[-1:]
    else:
        lines = _FATAL.findall(text) or text.strip().splitlines()
        lines = [line for line in lines if not _NOISE.match(line)]
    return textwrap.dedent("\n".join(lines[-_END_LINES:]))
