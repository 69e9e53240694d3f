"""Locks: the exact requirements of a cell, written and parsed as a requirements file."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from matrixci.errors import ResolverError
from matrixci.locks.wheel_build import file_name


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One exact requirement of a lock."""

    name: str
    version: str
    url: str | None
    hashes: tuple[str, ...]
    via: tuple[str, ...]
    """Normalised names of the packages that depend on it."""
    source: str | None = None
    """URL that an own wheel was made from; None for the subject and for packages of an index."""

    @property
    def requirement(self) -> str:
        """The exact requirement, without hashes."""
        return f"{self.name}=={self.version}"

    def line(self) -> str:
        """Return the pin as a line of a requirements file, with hashes."""
        return " \\\n    ".join([self.requirement, *self._options()])

    def install_line(self, wheels: str) -> str:
        """Return the line to install the pin from.

        Args:
            wheels: path of the folder that holds own wheels.
        """
        if self.url is None:
            return self.line()
        wheel = f"{self.name} @ file://{wheels}/{quote(file_name(self.url))}"
        return " \\\n    ".join([wheel, *self._options()])

    def comments(self) -> str:
        """Return comment lines with the dependents of the pin and the source of an own wheel."""
        via = f"    # via {', '.join(self.via)}\n" if self.via else ""
        return via + (f"    # from {self.source}\n" if self.source else "")

    def _options(self) -> Iterable[str]:
        return (f"--hash={value}" for value in self.hashes)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The exact requirements of a cell, with hashes."""

    pins: tuple[Pin, ...]
    torch_backend: str | None
    fallback: bool = False
    """The index of the requested backend was unreachable, so the default index is used."""

    @cached_property
    def text(self) -> str:
        """The lock as a requirements file, for `pip install --require-hashes -r`."""
        return "".join(f"{pin.line()}\n" for pin in self.pins)

    @property
    def annotated(self) -> str:
        """The lock as a requirements file with comments: dependents and sources."""
        return "".join(f"{pin.line()}\n{pin.comments()}" for pin in self.pins)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the torch backend and the requirement lines, in hex."""
        return hashlib.sha256(f"{self.torch_backend}\n{self.text}".encode()).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        """Mapping of normalised name to version."""
        return {pin.name: pin.version for pin in self.pins}


@dataclass(frozen=True, kw_only=True)
class Unsatisfiable:
    """The resolver's proof that the requirements of a cell have no solution."""

    reason: str
    """One readable line."""
    detail: str
    """The complete output of the resolver."""


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Parse a requirements file as written by the resolver or by `Lock`.

    Raises:
        ResolverError: a line does not pin a package.
    """
    pins: list[Pin] = []
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if block and not line.startswith(" "):
            pins.append(_parse_pin(block))
            block = []
        if line.strip() and not line.startswith(("#", "-")):
            block.append(line)
    return tuple(sorted(pins, key=lambda pin: pin.name))


def _parse_pin(block: Sequence[str]) -> Pin:
    head = block[0].rstrip("\\").split(" #")[0].strip()
    rest = "\n".join(block)
    try:
        requirement = Requirement(head)
        if requirement.url:
            version = str(parse_wheel_filename(file_name(requirement.url))[1])
        else:
            version = str(Version(str(requirement.specifier).removeprefix("==")))
    except ValueError as error:
        msg = f"Cannot parse this line of a lock: {head}"
        raise ResolverError(msg) from error
    via = re.search(r"# via (.*)", rest)
    source = re.search(r"^ +# from (\S+)$", rest, re.MULTILINE)
    return Pin(
        name=canonicalize_name(requirement.name),
        version=version,
        url=requirement.url,
        hashes=tuple(re.findall(r"--hash=(\S+)", rest)),
        via=tuple(re.findall(r"[A-Za-z0-9._-]+", via[1])) if via else (),
        source=source[1] if source else None,
    )


def closure(pins: Sequence[Pin], roots: Iterable[str]) -> set[str]:
    """Return the names of `roots` and of all their direct and indirect dependencies."""
    found = {pin.name for pin in pins} & set(roots)
    grown = True
    while grown:
        more = {pin.name for pin in pins if found & set(pin.via)}
        grown = not more <= found
        found |= more
    return found
