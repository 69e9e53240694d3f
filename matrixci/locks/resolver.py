"""The resolver: a cell's requirements in, its lock or the proof that there is none out."""

import asyncio
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Final, Protocol, assert_never
from urllib.parse import quote

import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from matrixci.errors import ResolverError, RunFilesError
from matrixci.locks.index_settings import index_environment, resolver_environment
from matrixci.locks.unsatisfiable import (
    NO_SOLUTION,
    needed_pythons,
    one_line,
    readable_reason,
    without_usable_wheel,
)
from matrixci.locks.uv_settings import index_config
from matrixci.locks.wheel_build import file_name
from matrixci.model import Cell, Subject
from matrixci.util.once_map import Once
from matrixci.util.subprocesses import Completed, run_process
from matrixci.util.temp_dirs import temporary_folder

HARNESS: Final = ("pytest>=8,<10",)
"""What the checks are written in; it is resolved with the stack, so it can't disturb it unseen."""

_KEPT_SECONDS: Final = 600.0  # as long as uv itself believes an index's answer
_TIME_LIMIT: Final = 300.0
_REFUSED: Final = re.compile(
    r"(?:could not be queried due to .*?\(|returned a )(\d{3} \w+(?: \w+)*?)(?:\)| error)"
)

_CONFLICT: Final = re.compile(r"conflicting URLs for package `([^`]+)`")


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that a resolution depends on, beside the index's state."""

    requires: tuple[str, ...]
    python: str
    platform: str
    torch_backend: str | None
    as_of: date | None
    universal: bool = False
    """For any platform, and without what the requirements need themselves."""

    def key(self) -> str:
        """Return a digest of the request and the resolver."""
        index = [index_environment(), index_config()]
        facts = {**asdict(self), "uv": distribution_version("uv"), "index": index}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One exact requirement of a lock."""

    name: str
    version: str
    url: str | None
    hashes: tuple[str, ...]
    via: tuple[str, ...]
    """Who asks for it, by normalised name."""
    source: str | None = None
    """The URL that a wheel of our own was made from; None: the subject's, or from an index."""

    @property
    def requirement(self) -> str:
        """The exact requirement, without hashes."""
        return f"{self.name}=={self.version}"

    def line(self) -> str:
        """Return it as a line of a requirements file, with hashes."""
        return " \\\n    ".join([self.requirement, *self._options()])

    def install_line(self, wheels: str) -> str:
        """Return it as a line to install from; a wheel of our own lies in the folder `wheels`."""
        if self.url is None:
            return self.line()
        wheel = f"{self.name} @ file://{wheels}/{quote(file_name(self.url))}"
        return " \\\n    ".join([wheel, *self._options()])

    def comments(self) -> str:
        """Return who asks for it, and what a wheel of our own was made from, as lines."""
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
    """The backend asked for could not be reached; the default index's build serves."""

    @cached_property
    def text(self) -> str:
        """The lock as a requirements file, for `pip install --require-hashes -r`."""
        return "".join(f"{pin.line()}\n" for pin in self.pins)

    @property
    def annotated(self) -> str:
        """The same with who asks for each, and where it is from, as comments."""
        return "".join(f"{pin.line()}\n{pin.comments()}" for pin in self.pins)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is installed and from which kind of index, in hex."""
        return hashlib.sha256(f"{self.torch_backend}\n{self.text}".encode()).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        """Normalised name to version."""
        return {pin.name: pin.version for pin in self.pins}


@dataclass(frozen=True, kw_only=True)
class Unsatisfiable:
    """The resolver's proof that a cell's requirements have no solution."""

    reason: str
    """One readable line."""
    detail: str
    """All that the resolver said."""


class Locks(Protocol):
    """Where a run's locks come from: a resolver, or what one answered before."""

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return a cell's lock, or why there is none.

        Raises:
            ResolverError: it can't be told.
        """

    async def tools(self, python: str) -> Lock:
        """Return the lock of what installs the others inside a build, for Python X.Y.

        Raises:
            ResolverError: it can't be told.
        """

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements than a cell's in its place.

        Args:
            requires: the requirements.
            cell: gives the Python and the backend of torch.
            universal: resolve for any platform, and leave the dependencies out.

        Returns:
            The answer, or None where there is none.
        """

    async def close(self) -> None:
        """Break off what is still under way."""


class Resolver:
    """Resolves each distinct request once, in parallel with the others."""

    def __init__(self, cache: Path, platform: str, as_of: date | None, *, fresh: bool) -> None:
        """Set up.

        Args:
            cache: the folder in which answers are kept for ten minutes, as uv does.
            platform: uv's --python-platform.
            as_of: only what was published up to the end of this day exists.
            fresh: kept answers are not used.
        """
        self._cache = cache
        self._platform = platform
        self._as_of = as_of
        self._fresh = fresh
        self._answers: Once[Lock | Unsatisfiable] = Once(passing=(ResolverError,))
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._unreachable: set[str] = set()

    async def resolve(self, cell: Cell, subject: Subject) -> Lock | Unsatisfiable:
        """Return a cell's lock, or why there is none.

        Raises:
            ResolverError: the resolver could not answer: the index is unreachable, or refuses.
        """
        request = Request(
            requires=(subject.requirement, *cell.requires, *HARNESS),
            python=cell.python,
            platform=self._platform,
            torch_backend=cell.torch_backend,
            as_of=self._as_of,
        )
        return await self.answer(request)

    async def tools(self, python: str) -> Lock:
        """Return the lock of what installs the others inside a build: uv, as it is here.

        Raises:
            ResolverError: it could not be resolved.
        """
        request = Request(
            requires=(f"uv=={distribution_version('uv')}",),
            python=python,
            platform=self._platform,
            torch_backend=None,
            as_of=None,
        )
        answer = await self.answer(request)
        match answer:
            case Lock():
                return answer
            case Unsatisfiable():
                msg = f"The index doesn't have the uv that is used here: {answer.reason}"
                raise ResolverError(msg)
            case _ as never:
                assert_never(never)

    async def probe(
        self, requires: Sequence[str], cell: Cell, *, universal: bool = False
    ) -> Lock | Unsatisfiable | None:
        """Resolve other requirements than a cell's in its place; None where there is no answer."""
        request = Request(
            requires=tuple(requires),
            python=cell.python,
            platform=self._platform,
            torch_backend=None if universal else cell.torch_backend,
            as_of=self._as_of,
            universal=universal,
        )
        try:
            return await self.answer(request)
        except (ResolverError, RunFilesError):
            return None

    def known_names(self) -> set[str]:
        """Return the names of the packages in the locks that are kept, of earlier runs too."""
        kept = (_read(path, forever=True) for path in self._cache.glob("*.json"))
        return {pin.name for lock in kept if isinstance(lock, Lock) for pin in lock.pins}

    async def answer(self, request: Request) -> Lock | Unsatisfiable:
        """Answer a request, once for all who ask.

        Raises:
            ResolverError: the resolver could not answer.
            RunFilesError: the answer can't be kept.
        """
        return await self._answers(request, lambda: self._answer(request))

    async def close(self) -> None:
        """Break off what is still under way."""
        await self._answers.close()

    async def _answer(self, request: Request) -> Lock | Unsatisfiable:
        kept = self._cache / f"{request.key()}.json"
        if not self._fresh and (answer := _read(kept, forever=request.as_of is not None)):
            return answer
        answer = await self._compile_or_fall_back(request)
        if isinstance(answer, Unsatisfiable) and not request.universal:
            answer = await self._explained(request, answer)
        _write(kept, answer)
        return answer

    async def _explained(self, request: Request, answer: Unsatisfiable) -> Unsatisfiable:
        """Say which Python is needed where uv says that no wheel is usable."""
        asked = without_usable_wheel(answer.detail)
        if not asked:
            return answer
        alone = replace(request, requires=asked, universal=True, torch_backend=None)
        try:
            why = await self.answer(alone)
        except (ResolverError, RunFilesError):
            return answer
        if not isinstance(why, Unsatisfiable):
            return answer
        pythons = needed_pythons(why.detail, request.python)
        return replace(answer, reason=readable_reason(answer.detail, request.python, pythons))

    async def _compile_or_fall_back(self, request: Request) -> Lock | Unsatisfiable:
        backend = request.torch_backend
        if backend is None:
            return _outcome(await self._compile(request), None, request.python)
        if backend not in self._unreachable:
            done = await self._compile(request)
            if done.exit_status in {0, 1} and not _REFUSED.search(done.stderr):
                return _outcome(done, backend, request.python)
            self._unreachable.add(backend)
        # The same question as that of a cell without a backend: asked once for both.
        answer = await self.answer(replace(request, torch_backend=None))
        return replace(answer, fallback=True) if isinstance(answer, Lock) else answer

    async def _compile(self, request: Request) -> Completed:
        argv = [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header"]
        # Any interpreter will do, since the version is given; ours costs no search.
        argv += ["--python", sys.executable, "--python-version", request.python]
        if request.universal:
            argv += ["--universal", "--no-deps"]
        else:
            argv += ["--python-platform", request.platform]
        # Without it a release that has no wheel is picked, and is compiled for minutes.
        argv += ["--only-binary", ":all:", "--generate-hashes", "--annotation-style", "line"]
        argv += ["--torch-backend", request.torch_backend] if request.torch_backend else []
        argv += ["--exclude-newer", request.as_of.isoformat()] if request.as_of else []
        environment = resolver_environment()
        if request.torch_backend:
            # One attempt is enough: nothing worse than the fallback depends on it.
            environment["UV_HTTP_RETRIES"] = "0"
        text = "".join(f"{line}\n" for line in request.requires)
        try:
            async with self._slots:
                with _configured(argv, index_config()) as command:
                    return await run_process(
                        command, stdin=text, env=environment, time_limit=_TIME_LIMIT
                    )
        except TimeoutError as error:
            msg = f"The resolver didn't answer within {_TIME_LIMIT:.0f} s."
            raise ResolverError(msg) from error


@contextmanager
def _configured(argv: Sequence[str], config: str) -> Iterator[list[str]]:
    """Add the option that keeps uv from discovering any configuration but the given one."""
    if not config:
        yield [*argv, "--no-config"]
        return
    with temporary_folder("uv") as folder:
        path = folder / "uv.toml"
        path.touch(mode=0o600)
        path.write_text(config, encoding="utf-8")
        yield [*argv, "--config-file", str(path)]


def _outcome(done: Completed, backend: str | None, python: str) -> Lock | Unsatisfiable:
    if done.exit_status == 0:
        return Lock(pins=parse_lock(done.stdout), torch_backend=backend)
    if conflict := _CONFLICT.search(done.stderr):
        reason = f"{conflict[1]} is required from more than one URL"
        return Unsatisfiable(reason=reason, detail=done.stderr)
    if NO_SOLUTION not in done.stderr:
        msg = f"The package index could not be asked: {one_line(done.stderr)}"
        raise ResolverError(msg)
    if refused := _REFUSED.search(done.stderr):
        msg = f"The package index refuses: {refused[1]}"
        raise ResolverError(msg)
    return Unsatisfiable(reason=readable_reason(done.stderr, python), detail=done.stderr)


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Read the resolver's output.

    Raises:
        ResolverError: it has a line of another form.
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
        msg = f"The resolver's answer has a line that is not understood: {head}"
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
    """Return the names of `roots` and of all that they need, directly or not."""
    found = {pin.name for pin in pins} & set(roots)
    grown = True
    while grown:
        more = {pin.name for pin in pins if found & set(pin.via)}
        grown = not more <= found
        found |= more
    return found


def _read(path: Path, *, forever: bool) -> Lock | Unsatisfiable | None:
    """Return a kept answer that is still believed."""
    try:
        # One of the future is as little believed: the clock was set back.
        if not forever and not 0 <= time.time() - path.stat().st_mtime <= _KEPT_SECONDS:
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        if "reason" in kept:
            return Unsatisfiable(**kept)
        pins = tuple(
            Pin(**{**pin, "hashes": tuple(pin["hashes"]), "via": tuple(pin["via"])})
            for pin in kept.pop("pins")
        )
        return Lock(pins=pins, **kept)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _write(path: Path, answer: Lock | Unsatisfiable) -> None:
    """Keep an answer.

    Raises:
        RunFilesError: it can't be written.
    """
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(answer)), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        msg = f"The resolver's answer can't be kept in {path.parent}: {error.strerror}"
        raise RunFilesError(msg) from error
