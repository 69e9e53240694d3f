"""Run `uv pip compile` for a resolution request, and interpret its output."""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version as distribution_version
from typing import Final

import uv

from matrixci.errors import ResolverError
from matrixci.locks.index_settings import index_environment, resolver_environment
from matrixci.locks.lock import Lock, Unsatisfiable, parse_lock
from matrixci.locks.unsatisfiable import NO_SOLUTION, one_line, readable_reason
from matrixci.locks.uv_settings import index_config
from matrixci.util.subprocesses import Completed, run_process
from matrixci.util.temp_dirs import temporary_folder

TIME_LIMIT: Final = 300.0
"""Seconds that one resolution may take."""

_REFUSED: Final = re.compile(
    r"(?:could not be queried due to .*?\(|returned a )(\d{3} \w+(?: \w+)*?)(?:\)| error)"
)
_CONFLICTING_URLS: Final = re.compile(r"conflicting URLs for package `([^`]+)`")


@dataclass(frozen=True, kw_only=True)
class ResolutionRequest:
    """Everything that a resolution depends on, except the contents of the index."""

    requires: tuple[str, ...]
    python: str
    platform: str
    torch_backend: str | None
    as_of: date | None
    universal: bool = False
    """Resolve for any platform, without the dependencies of the requirements."""

    def key(self) -> str:
        """Return a digest of the request, the index settings and the version of uv."""
        index = [index_environment(), index_config()]
        facts = {**asdict(self), "uv": uv_version(), "index": index}
        return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()


def uv_version() -> str:
    """Return the version of the installed uv."""
    return distribution_version("uv")


async def run_uv(request: ResolutionRequest) -> Completed:
    """Run `uv pip compile` for a request.

    Raises:
        ResolverError: uv took longer than the time limit.
    """
    environment = resolver_environment()
    if request.torch_backend:
        # One attempt is enough: if it fails, the default index is used.
        environment["UV_HTTP_RETRIES"] = "0"
    text = "".join(f"{line}\n" for line in request.requires)
    try:
        with _with_config(_command(request), index_config()) as command:
            return await run_process(command, stdin=text, env=environment, time_limit=TIME_LIMIT)
    except TimeoutError as error:
        msg = f"uv did not finish the resolution within {TIME_LIMIT:.0f} s."
        raise ResolverError(msg) from error


def _command(request: ResolutionRequest) -> list[str]:
    argv = [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header"]
    # uv needs some interpreter, and naming this one saves it a search.
    argv += ["--python", sys.executable, "--python-version", request.python]
    if request.universal:
        argv += ["--universal", "--no-deps"]
    else:
        argv += ["--python-platform", request.platform]
    # Without --only-binary uv may choose a release without wheels and compile it for minutes.
    argv += ["--only-binary", ":all:", "--generate-hashes", "--annotation-style", "line"]
    argv += ["--torch-backend", request.torch_backend] if request.torch_backend else []
    argv += ["--exclude-newer", request.as_of.isoformat()] if request.as_of else []
    return argv


@contextmanager
def _with_config(argv: Sequence[str], config: str) -> Iterator[list[str]]:
    """Add the option that makes uv read only the given configuration."""
    if not config:
        yield [*argv, "--no-config"]
        return
    with temporary_folder("uv") as folder:
        path = folder / "uv.toml"
        path.touch(mode=0o600)
        path.write_text(config, encoding="utf-8")
        yield [*argv, "--config-file", str(path)]


def index_answered(done: Completed) -> bool:
    """Return whether uv finished without an index that was unreachable or refused access."""
    return done.exit_status in {0, 1} and not _REFUSED.search(done.stderr)


def interpret(done: Completed, request: ResolutionRequest) -> Lock | Unsatisfiable:
    """Return the lock that uv printed, or its proof that there is none.

    Raises:
        ResolverError: uv printed neither.
    """
    if done.exit_status == 0:
        return Lock(pins=parse_lock(done.stdout), torch_backend=request.torch_backend)
    if conflict := _CONFLICTING_URLS.search(done.stderr):
        reason = f"{conflict[1]} is required from more than one URL"
        return Unsatisfiable(reason=reason, detail=done.stderr)
    if NO_SOLUTION not in done.stderr:
        msg = f"Cannot query the package index: {one_line(done.stderr)}"
        raise ResolverError(msg)
    if refused := _REFUSED.search(done.stderr):
        msg = f"The package index refused access: {refused[1]}"
        raise ResolverError(msg)
    return Unsatisfiable(reason=readable_reason(done.stderr, request.python), detail=done.stderr)
