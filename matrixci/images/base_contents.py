"""Contents of base images: the interpreter and the packages of the operating system."""

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from matrixci.engine.client import Engine
from matrixci.engine.image_contents import RawContents
from matrixci.errors import EngineError
from matrixci.model import Frozen
from matrixci.util.files import write_whole
from matrixci.util.once_map import OnceMap

_VERSION: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{0,199}")  # by Debian policy
_PACKAGE_VERSION: Final = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
_ID: Final = re.compile(r"[a-z0-9._-]{1,60}")
_INSTALLED: Final = "installed"


class DebianPackage(Frozen):
    """A package installed by dpkg."""

    name: str
    version: str
    architecture: str
    source: str | None = None
    """Name of the source package, if it differs."""


class BaseContents(Frozen):
    """Known contents of the base images of a cell."""

    python: str | None = None
    """X.Y.Z of the interpreter; None: unknown."""
    system: str | None = None
    """The distribution's id, such as debian."""
    system_version: str | None = None
    packages: tuple[DebianPackage, ...] = ()
    """Empty if the system's image has no dpkg database."""


class ContentsReader:
    """Contents of pairs of base images, each read once and stored in the work directory."""

    def __init__(self, engine: Engine, work_dir: Path) -> None:
        """Initialize; nothing is read yet."""
        self._engine = engine
        self._folder = work_dir / "bases"
        self._contents: OnceMap[BaseContents] = OnceMap(retry_on=(EngineError,))

    async def read(self, system: str, python: str) -> BaseContents:
        """Return the contents of two base images.

        Args:
            system: digest of the operating system's image.
            python: digest of the interpreter's image.

        Raises:
            EngineError: the engine failed.
            RunFilesError: the answer cannot be stored.
        """
        return await self._contents((system, python), lambda: self._read(system, python))

    async def close(self) -> None:
        """Stop the work in progress."""
        await self._contents.close()

    async def _read(self, system: str, python: str) -> BaseContents:
        key = hashlib.sha256(f"{system}\n{python}".encode()).hexdigest()
        path = self._folder / f"{key[:20]}.json"
        try:
            return BaseContents.model_validate_json(path.read_bytes())
        except (OSError, ValueError):  # missing or damaged
            contents = parse_contents(await self._engine.images.read_contents(system, python))
        write_whole(path, contents.model_dump_json(indent=1), durable=False)
        return contents


def parse_contents(raw: RawContents) -> BaseContents:
    """Parse the files and the output of base images; skip anything invalid."""
    release = dict(_settings(raw.release))
    system, version = release.get("ID", ""), release.get("VERSION_ID", "")
    packages = sorted(_packages(raw.packages), key=lambda each: (each.name, each.architecture))
    return BaseContents(
        python=raw.python if _VERSION.fullmatch(raw.python) else None,
        system=system if _ID.fullmatch(system) else None,
        system_version=version if _ID.fullmatch(version) else None,
        packages=tuple(packages),
    )


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values in an os-release file."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        yield name.strip(), " ".join(words)


def _packages(status: str) -> Iterator[DebianPackage]:
    """Yield the installed packages in dpkg's status file."""
    for paragraph in status.split("\n\n"):
        fields = {
            name: value.strip()
            for name, separator, value in (line.partition(":") for line in paragraph.splitlines())
            if separator and not name.startswith((" ", "\t"))
        }
        name, version = fields.get("Package", ""), fields.get("Version", "")
        architecture = fields.get("Architecture", "")
        source = fields.get("Source", "").partition(" ")[0]
        if (
            fields.get("Status", "").rpartition(" ")[2] == _INSTALLED
            and _NAME.fullmatch(name)
            and _NAME.fullmatch(architecture)
            and _PACKAGE_VERSION.fullmatch(version)
        ):
            yield DebianPackage(
                name=name,
                version=version,
                architecture=architecture,
                source=source if _NAME.fullmatch(source) else None,
            )
